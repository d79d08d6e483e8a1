"""Moved frames against scipy's resampling, and what may not decide how they move: the company a sample is in."""

import numpy as np
import pytest
import torch
from scipy.ndimage import affine_transform, gaussian_filter

from lightning_modules.frame_augmentation import FrameAugmentation

SIZE = 48


def make_batch(count=3, seed=0):
    rng = np.random.default_rng(seed)
    smooth = gaussian_filter(rng.standard_normal((count, 4, 3, SIZE, SIZE)), (0, 0, 0, 3, 3))
    frames = torch.from_numpy(np.clip(2.5 * smooth, -0.9, 0.6)).float()
    mask = torch.zeros(count, 1, SIZE, SIZE)
    mask[..., 14:34, 14:34] = 1
    return {
        "rendered": frames[:, :3],
        "target": frames[:, 3],
        "face_mask": mask,
        "identity": torch.rand(count, 16),
        "index": torch.arange(count) + 10,
    }


def part_of(batch, chosen):
    return {name: value[chosen] for name, value in batch.items()}


def test_without_ranges_nothing_happens():
    batch = make_batch()
    assert FrameAugmentation()(batch, 0, 0) is batch
    assert not FrameAugmentation()


def test_all_pictures_of_a_sample_move_alike_as_scipy_would_move_them():
    augmentation = FrameAugmentation(shift=0.1, rotation=30, scale=0.2)
    batch = make_batch()
    moved = augmentation(batch, 5, 7)
    for k in range(3):
        angle, scale, right, down = np.random.default_rng((5, 7, 10 + k)).uniform(-1, 1, 4) * (30, 0.2, 0.1, 0.1)
        cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        # in (row, column): what scipy asks for is where each new pixel was
        turn = (1 + scale) * np.array([[cosine, sine], [-sine, cosine]])
        centre, shift = np.full(2, (SIZE - 1) / 2), SIZE * np.array([down, right])
        back = np.linalg.inv(turn)
        for name in ("rendered", "target", "face_mask"):
            old = batch[name][k].flatten(0, -3).numpy()
            new = moved[name][k].flatten(0, -3).numpy()
            for plane, got in zip(old, new, strict=True):
                wanted = affine_transform(plane, back, centre - back @ (centre + shift), order=1, mode="nearest")
                np.testing.assert_allclose(got, wanted, atol=2e-4)


def test_a_sample_is_changed_alike_in_any_company():
    augmentation = FrameAugmentation(shift=0.1, rotation=10, scale=0.1)
    batch = make_batch()
    whole = augmentation(batch, 0, 3)
    for chosen in ([0], [2, 1]):
        alone = augmentation(part_of(batch, chosen), 0, 3)
        for name, value in alone.items():
            torch.testing.assert_close(value, whole[name][chosen])


def test_steps_seeds_and_samples_differ():
    augmentation = FrameAugmentation(shift=0.1)
    batch = make_batch()
    batch["target"][:] = batch["target"][0]
    seen = [augmentation(batch, seed, step)["target"] for seed, step in ((0, 0), (0, 1), (1, 0))]
    assert not torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], seen[2])
    assert not torch.equal(seen[0][0], seen[0][1])


def test_frames_without_a_mask_move_alike():
    augmentation, batch = FrameAugmentation(shift=0.1, rotation=10), make_batch()
    wanted = augmentation(batch, 0, 0)
    del batch["face_mask"]
    moved = augmentation(batch, 0, 0)
    assert "face_mask" not in moved
    torch.testing.assert_close(moved["target"], wanted["target"])


def test_places_are_exact_in_mixed_precision_too():
    augmentation, batch = FrameAugmentation(shift=0.1, rotation=10, scale=0.1), make_batch()
    with torch.autocast("cpu", torch.bfloat16):
        mixed = augmentation(batch, 0, 0)
    assert torch.equal(mixed["target"], augmentation(batch, 0, 0)["target"])


@pytest.mark.parametrize("wrong", [{"shift": -0.1}, {"rotation": 90}, {"scale": float("nan")}])
def test_impossible_ranges_are_refused(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} is .*it must be from 0"):
        FrameAugmentation(**wrong)
