"""Videos are the same files wherever a folder of them is read."""

from datamodules.layouts import read_folder
from evaluation.matching import matched_videos
from evaluation.user_study.folders import find_videos
from face.verification import find_clips
from media.endings import VIDEO_ENDINGS


def test_what_is_learned_from_is_scored_and_shown(tmp_path):
    real, made = tmp_path / "real", tmp_path / "made"
    for folder in (real, made):
        folder.mkdir()
        (folder / "table.csv").touch()
        for ending in VIDEO_ENDINGS:
            (folder / f"clip_{ending[1:]}{ending.upper()}").touch()
    assert len(matched_videos(real, made)) == len(find_videos(made)) == len(find_clips(made)) == len(VIDEO_ENDINGS)
    assert {source.path.suffix.lower() for source in read_folder(real)} == VIDEO_ENDINGS - {".gif"}
