"""The pictures of a clip on disk: the crops of all frames and, of a person, the whole training frames."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from tqdm import tqdm

from datamodules.clip import Clip
from datamodules.preparation import Preparation
from media.ahead import ahead
from media.video import VideoInfo, VideoWriter, stream_frames


def write_pictures(clip: Clip, info: VideoInfo, preparation: Preparation, progress: bool) -> None:
    """Write `crop.mp4` and, of a person, `gallery.mp4`; every frame is a key frame (SPEC, clip).

    Args:
        clip: With its crop; its folder gets the files.
        info: Of the source.
        preparation: Of a person or of a corpus.
        progress: Show a progress bar.
    """
    folder, crop, total = clip.folder, clip.crop, len(clip)
    frames = tqdm(ahead(stream_frames(info.path, 0, total)), "cropping", total, unit="frame", disable=not progress)
    with ExitStack() as stack:
        crops = stack.enter_context(_crop_writer(folder / "crop.mp4", crop.size, preparation))
        if preparation.of_corpus:
            for frame in frames:
                crops.write(crop.apply(frame))
            return
        gallery = VideoWriter(folder / "gallery.mp4", info.width, info.height, crf=14, gop=1)
        stack.enter_context(gallery)
        pool = stack.enter_context(ThreadPoolExecutor(1))
        for index, frame in enumerate(frames):
            written = pool.submit(gallery.write, frame) if index < clip.training_frames else None
            crops.write(crop.apply(frame))
            if written:
                written.result()


def _crop_writer(path: Path, side: int, preparation: Preparation) -> VideoWriter:
    """Of a corpus above 42 dB (SPEC, clip); of a person as they are, for results are judged by the source itself."""
    if preparation.of_corpus:
        return VideoWriter(path, side, side, crf=8, gop=1, archive=True)
    return VideoWriter(path, side, side, gop=1, lossless=True)  # 87 KB a frame, 14 with crf 8 and 44.7 dB [256 px]
