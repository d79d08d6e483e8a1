"""The pictures of a clip on disk: the crops of all frames and, of a person, the whole training frames."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from tqdm import tqdm

from datamodules.clip import Clip
from datamodules.preparation import Preparation
from media.ahead import ahead
from media.video import VideoInfo, VideoWriter, stream_frames

Pictures = Callable[[slice], np.ndarray]  # crops of a range of frames, uint8 (n, 256, 256, 3)

_KEPT = 500  # ours: crops in memory, 100 MB; the training frames of a person are 300


def write_pictures(clip: Clip, info: VideoInfo, preparation: Preparation, progress: bool) -> np.ndarray:
    """Write `crop.mp4` and, of a person, `gallery.mp4`; every frame is a key frame (SPEC, clip).

    Args:
        clip: With its crop; its folder gets the files.
        info: Of the source.
        preparation: Of a person or of a corpus.
        progress: Show a progress bar.

    Returns:
        uint8 (n, 256, 256, 3) the first crops, as they are in the file: of a person those of the training frames, at
        most 500; of a corpus, whose files are lossy, none.
    """
    folder, crop, total = clip.folder, clip.crop, len(clip)
    frames = tqdm(ahead(stream_frames(info.path, 0, total)), "cropping", total, unit="frame", disable=not progress)
    with ExitStack() as stack:
        crops = stack.enter_context(_crop_writer(folder / "crop.mp4", crop.size, preparation))
        if preparation.of_corpus:
            for frame in frames:
                crops.write(crop.apply(frame))
            return np.empty((0, crop.size, crop.size, 3), np.uint8)
        kept = np.empty((min(_KEPT, clip.training_frames), crop.size, crop.size, 3), np.uint8)
        gallery = VideoWriter(folder / "gallery.mp4", info.width, info.height, crf=14, gop=1)
        stack.enter_context(gallery)
        pool = stack.enter_context(ThreadPoolExecutor(1))
        for index, frame in enumerate(frames):
            written = pool.submit(gallery.write, frame) if index < clip.training_frames else None
            picture = crop.apply(frame)
            crops.write(picture)
            if index < len(kept):
                kept[index] = picture
            if written:
                written.result()
        return kept


def pictures_of(clip: Clip, kept: np.ndarray) -> Pictures:
    """The crops of a clip, the first ones from memory (`write_pictures`), the others from its file."""

    def pictures(part: slice) -> np.ndarray:
        if part.stop <= len(kept):
            return kept[part]
        later = clip.frames(slice(max(part.start, len(kept)), part.stop))
        return np.concatenate([kept[part], later]) if part.start < len(kept) else later

    return pictures


def _crop_writer(path: Path, side: int, preparation: Preparation) -> VideoWriter:
    """Of a corpus above 42 dB (SPEC, clip); of a person as they are, for results are judged by the source itself."""
    if preparation.of_corpus:
        return VideoWriter(path, side, side, crf=8, gop=1, archive=True)
    return VideoWriter(path, side, side, gop=1, lossless=True)  # 87 KB a frame, 14 with crf 8 and 44.7 dB [256 px]
