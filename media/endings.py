"""Which files of a folder are videos: those of these endings, in small letters."""

# what FFmpeg reads and people have; anything else in a folder (tables, sound, pictures) is no video
VIDEO_ENDINGS = frozenset(
    (
        *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".mts", ".ts"),
        *(".flv", ".wmv", ".3gp", ".gif"),
    )
)
