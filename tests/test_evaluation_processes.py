"""Every metric gives the same value in one process and in two that saw unequal parts (gloo, spawned)."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torchmetrics import Metric

from evaluation.av_offset import AudioVideoOffset
from evaluation.beat_alignment import BeatAlignment
from evaluation.head_motion import HeadMotionRatio
from evaluation.head_pose import HeadPoseSimilarity
from evaluation.identity_similarity import CSIM
from evaluation.landmark_distance import LandmarkDistance
from evaluation.lip_sync import MouthCorrelation
from evaluation.motion_spectra import MotionSpectraDistance
from evaluation.psnr import PSNR
from evaluation.psnr_atvg import PSNRATVG
from evaluation.ssim import SSIM

FRAMES = 7  # odd: the two processes get 5 and 2, in batches of unequal size


def cases() -> list[tuple[Metric, torch.Tensor, torch.Tensor]]:
    """Each metric with its (generated, reference) frames."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, FRAMES, 3, 16, 16, generator=generator) * 2 - 1
    images[0, 3] = images[1, 3]  # one capped frame, so that a mean of means would differ
    points = 100 * torch.rand(2, FRAMES, 68, 2, generator=generator)
    angles = 8 * torch.randn(2, FRAMES, 3, generator=generator)
    openings = torch.rand(2, FRAMES, generator=generator)
    return [
        (PSNR(), *images),
        (SSIM(), *images),
        (SSIM(window="gaussian"), *images),
        (PSNRATVG(), *images),
        (LandmarkDistance(), *points),
        (LandmarkDistance(unit="px128"), *points),
        (LandmarkDistance(region="face"), *points),
        (HeadPoseSimilarity(), *angles),
        (HeadPoseSimilarity(centred=True, bin_width=0.5), *angles),
        (HeadMotionRatio(), *angles),
        (MouthCorrelation(), *openings),
        (CSIM(), *images.flatten(2)),
    ]


def clip_cases() -> list[tuple[Metric, list[tuple[torch.Tensor, torch.Tensor]]]]:
    """Each metric that sees whole videos, with the (generated, reference) of five of them."""
    generator = torch.Generator().manual_seed(1)
    angles = 5 * torch.randn(5, 2, 40, 3, generator=generator)
    openings = torch.rand(5, 2, 60, generator=generator)
    beats = 1.6 * torch.rand(5, 6, generator=generator)
    return [
        (MotionSpectraDistance(), [(pair[0], pair[1]) for pair in angles]),
        (MotionSpectraDistance(of="acceleration"), [(pair[0], pair[1]) for pair in angles]),
        (BeatAlignment(), [(pair[0], times) for pair, times in zip(angles, beats, strict=True)]),
        (AudioVideoOffset(), [(pair[0], pair[1]) for pair in openings]),
    ]


def angles_of_one_video() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return 5 * torch.randn(30, 3, generator=generator), 4 * torch.randn(20, 3, generator=generator)


def flat(value: torch.Tensor | dict[str, torch.Tensor]) -> list[float]:
    return [float(v) for v in (value.values() if isinstance(value, dict) else [value])]


def one_of_two(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    results = []
    for metric, generated, reference in cases():
        for part in ([slice(0, 1), slice(1, 5)], [slice(5, 7)])[rank]:
            metric.update(generated[part], reference[part])
        results.append(flat(metric.compute()))
    for metric, videos in clip_cases():
        for video in videos[rank::2]:
            metric.update(*video)
        results.append(flat(metric.compute()))
    idle = HeadPoseSimilarity(centred=True)
    if rank == 0:  # the other one has nothing to add, as with fewer videos than processes
        idle.update(*angles_of_one_video())
    results.append(flat(idle.compute()))
    torch.save(results, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_agree_with_one(tmp_path: Path) -> None:
    mp.spawn(one_of_two, args=(str(tmp_path),), nprocs=2)
    both = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    alone = []
    for metric, generated, reference in cases():
        metric.update(generated, reference)
        alone.append((metric, flat(metric.compute())))
    for metric, videos in clip_cases():
        for video in videos:
            metric.update(*video)
        alone.append((metric, flat(metric.compute())))
    idle = HeadPoseSimilarity(centred=True)
    idle.update(*angles_of_one_video())
    alone.append((idle, flat(idle.compute())))
    for (metric, expected), first, second in zip(alone, *both, strict=True):
        assert first == pytest.approx(expected, abs=1e-6), type(metric).__name__
        assert second == pytest.approx(expected, abs=1e-6), type(metric).__name__
