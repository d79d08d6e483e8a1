"""Videos as every browser plays them: H.264 and AAC in an MP4 that says nothing about where it comes from."""

import tempfile
from contextlib import suppress
from pathlib import Path

import av
from av.container import InputContainer

from media.container import open_container, video_stream
from media.errors import InputError, reason
from media.video import VideoWriter, probe, stream_frames
from media.whole_file import whole_file

# Ours: quality is what people judge, so a video that must be coded again is kept better than indistinguishable (18).
_CRF = 12


def write_for_browsers(source: Path, target: Path) -> bool:
    """Copy a video so that browsers play it, without titles, names and other words about it.

    Pictures and sound that browsers know are copied bit by bit; anything else is coded again at 25 frames/s.

    Args:
        source: Any video FFmpeg reads.
        target: The .mp4 to write. Its index comes first, so that it starts to play before it is loaded.

    Returns:
        Whether it was coded again.

    Raises:
        InputError: If the source cannot be read or the target cannot be written.
    """
    turned = probe(source).rotation != 0
    with open_container(source) as container:
        playable = not turned and _plays_in_browsers(container)
        if playable:
            _copy(container, source, target)
    if not playable:
        with tempfile.TemporaryDirectory() as folder:
            coded = Path(folder) / "video.mp4"
            _code_again(source, coded)
            with open_container(coded) as container:
                _copy(container, coded, target)
    return not playable


def _plays_in_browsers(container: InputContainer) -> bool:
    pictures = video_stream(container)
    if pictures is None or not {"mp4", "matroska"} & set(container.format.name.split(",")):
        return False  # time stamps of other containers may lack what an MP4 needs
    context = pictures.codec_context
    square = (pictures.sample_aspect_ratio or context.sample_aspect_ratio or 1) == 1
    sounds = {stream.codec_context.name for stream in container.streams.audio[:1]}
    return context.name == "h264" and context.pix_fmt in ("yuv420p", "yuvj420p") and square and sounds <= {"aac"}


def _copy(container: InputContainer, source: Path, target: Path) -> None:
    """Write the first picture and sound tracks into a new file, packet by packet; nothing else comes along."""
    best = video_stream(container)
    tracks = [*([best] if best else []), *container.streams.audio[:1]]
    with (
        whole_file(target) as temporary,
        av.open(str(temporary), "w", format="mp4", options={"movflags": "+faststart"}) as output,
    ):
        copies = {track.index: output.add_stream_from_template(track) for track in tracks}
        for copy in copies.values():
            copy.metadata.clear()
        try:
            for packet in container.demux(tracks):
                if packet.dts is not None:  # the last of a track is empty
                    packet.stream = copies[packet.stream.index]
                    output.mux(packet)
        except av.FFmpegError as error:
            raise InputError(f"{source}: cannot be copied ({reason(error)}); copy it again or convert it.") from None


def _code_again(source: Path, target: Path) -> None:
    from media.audio import read_audio  # loads librosa, which nobody waits for whose videos are copied

    info, sound = probe(source), None
    if info.has_audio:
        with suppress(InputError):  # an empty track is no sound
            sound = read_audio(source)
    with VideoWriter(target, info.width, info.height, sound, crf=_CRF) as writer:
        for frame in stream_frames(source):
            writer.write(frame)
