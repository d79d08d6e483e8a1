"""The metrics of the pixels of two videos, frame by frame, side by side on all cores."""

import math
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from evaluation.frame_values import mean_inside
from evaluation.identity_similarity import csim
from evaluation.measure import Measurement, load_arcface
from evaluation.psnr import decibels, squared_error
from evaluation.psnr_atvg import psnr_atvg
from evaluation.ssim import ssim, ssim_map
from media.ahead import ahead

_BLOCK = 16  # frames compared side by side; bounds the memory


@cache
def arcface_encoder(path: Path) -> Any:
    """The network of an ONNX file, loaded once; see `evaluation.measure.load_arcface`."""
    return load_arcface(path)


def picture_scores(
    truth: Measurement, made: Measurement, seen: np.ndarray, encoder: Any, workers: int, title: str | None
) -> dict[str, float]:
    """Metrics of the pixels, means over frames; a block of frames in memory at a time.

    Args:
        truth: The real video.
        made: The generated one.
        seen: (T,) bool, the frames that show a face in both; the first T frames are compared.
        encoder: From `arcface_encoder`, for `csim`; None leaves that column out.
        workers: Frames compared side by side, each on a thread.
        title: Of a progress bar; None for none.

    Returns:
        `psnr`, `psnr_face`, `psnr_atvg`, `ssim`, `ssim_face`, `ssim_gaussian` and maybe `csim`; nan without any value.
    """
    rows: list[dict[str, float]] = []
    # decoding, in threads of its own, goes on while blocks are compared
    decoded = (ahead(side.frames(), _BLOCK) for side in (made, truth))
    pairs = zip(range(len(seen)), *decoded, strict=False)
    frames = iter(tqdm(pairs, desc=title, total=len(seen), unit="frame", disable=title is None))
    # numba and torch leave Python's lock, so frames side by side use all cores; each by one thread of torch
    with ThreadPoolExecutor(workers) as pool:
        for block in iter(lambda: list(islice(frames, _BLOCK)), []):
            values = list(pool.map(lambda pair: _frame_scores(truth, *pair), block))
            if encoder is not None:
                cosines = _cosines(truth, made, block, encoder)
                cosines[~seen[block[0][0] :][: len(block)]] = math.nan
                values = [row | {"csim": float(value)} for row, value in zip(values, cosines, strict=True)]
            rows += values
    return {key: _mean([row[key] for row in rows]) for key in rows[0]}


def _frame_scores(truth: Measurement, index: int, made: np.ndarray, real: np.ndarray) -> dict[str, float]:
    ours, true = (torch.from_numpy(frame).permute(2, 0, 1)[None] for frame in (made, real))
    mask = torch.from_numpy(truth.face_mask(index))[None, None]
    similarity, gaussian = ssim_map(ours, true), ssim(ours, true, window="gaussian")
    ours, true = ours.contiguous(), true.contiguous()  # the rest is faster colour by colour
    error = squared_error(ours, true)
    return {
        "psnr": decibels(mean_inside(error, None)).item(),
        "psnr_face": decibels(mean_inside(error, mask)).item(),
        "psnr_atvg": psnr_atvg(ours, true).item(),
        "ssim": mean_inside(similarity, None).item(),
        "ssim_face": mean_inside(similarity, mask).item(),
        "ssim_gaussian": gaussian.item(),
    }


def _cosines(
    truth: Measurement, made: Measurement, block: list[tuple[int, np.ndarray, np.ndarray]], encoder: Any
) -> np.ndarray:
    """CSIM of each frame of a block."""
    indices, *sides = zip(*block, strict=True)
    features = [
        torch.from_numpy(side.identity(encoder, np.stack(frames), indices[0]))
        for side, frames in zip((made, truth), sides, strict=True)
    ]
    return csim(*features).numpy()


def _mean(values: list[float]) -> float:
    """Mean of the values that are there; nan if none is."""
    there = [value for value in values if value == value]
    return float(np.mean(there)) if there else math.nan
