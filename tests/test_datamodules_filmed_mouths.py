"""Mouths from other frames: the right ones are found, and lie where the lips are."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from datamodules.filmed_mouths import _LEAP, FilmedMouths, _map, _path
from datamodules.rendered_frames import render_clip, render_over
from face.coefficients import ANGLES, EXPRESSION, SIZE, TRANSLATION
from face.models.morphable_model import mouth_opening_map
from face.models.registry import load_face_model
from face.rendering import Renderer, compose
from tests.sphere_face import SphereFace

FRAMES = 60


@pytest.fixture(scope="module")
def renderer():
    return Renderer(load_face_model(), size=128)


def speaking(renderer, openings):
    """(T, 257) χ of a still head whose mouth opens so many times as far as the unit of the model's map."""
    chi = np.zeros((len(openings), SIZE), np.float32)
    direction = mouth_opening_map(renderer.model)
    chi[:, EXPRESSION] = np.outer(openings, direction / np.square(direction).sum())
    return chi


@pytest.fixture(scope="module")
def filmed(renderer):
    """A mouth that opens and closes once; every frame has a colour of its own, on a ramp in x and y."""
    chi = speaking(renderer, 0.2 * np.sin(np.linspace(0, np.pi, FRAMES)) ** 2)
    x, y = torch.meshgrid(torch.arange(128.0), torch.arange(128.0), indexing="xy")
    frames = torch.stack([x, y, torch.zeros_like(x)]).repeat(FRAMES, 1, 1, 1)
    frames[:, 2] = torch.arange(FRAMES)[:, None, None]
    return chi, frames.to(torch.uint8)


@pytest.fixture(scope="module")
def mouths(renderer, filmed):
    return FilmedMouths(renderer, *filmed, np.ones(FRAMES, bool))


def test_lips_that_were_filmed_are_found(mouths, filmed):
    chi, _ = filmed
    assert mouths.choose(chi[10:20]).tolist() == list(range(10, 20))


def test_nothing_near_is_learned_from_itself(mouths, filmed):
    chi, _ = filmed
    for first in (0, 11, 28):
        chosen = mouths.choose(chi[first : first + 5], own=first)
        assert (np.abs(chosen - np.arange(first, first + 5)) >= 12).all()
    # the way up looks like the way down
    assert np.abs(mouths.choose(chi[8:12], own=8) - (FRAMES - 1 - np.arange(8, 12))).max() <= 1


def test_a_short_video_has_mouths_that_are_less_apart(renderer, filmed):
    chi, frames = filmed
    few = FilmedMouths(renderer, chi[:9], frames[:9], np.ones(9, bool))
    assert (np.abs(few.choose(chi[:9], own=0) - np.arange(9)) >= 2).all()
    alone = FilmedMouths(renderer, chi[:1], frames[:1], np.ones(1, bool))
    assert alone.choose(chi[:3]).tolist() == [0, 0, 0]


def test_frames_without_a_face_are_left_alone(renderer, filmed):
    usable = np.ones(FRAMES, bool)
    usable[14:18] = False
    found = FilmedMouths(renderer, *filmed, usable).choose(filmed[0][12:20])
    assert usable[found].all()
    with pytest.raises(ValueError, match="a frame in which the face was found"):
        FilmedMouths(renderer, *filmed, np.zeros(FRAMES, bool))


def test_a_head_turned_alike_is_preferred(renderer, filmed):
    chi, frames = filmed[0].copy(), filmed[1]
    chi[20:, ANGLES.start + 1] = 0.5
    wanted = chi[[10]]
    wanted[:, ANGLES.start + 1] = 0.5
    assert FilmedMouths(renderer, chi, frames, np.ones(FRAMES, bool)).choose(wanted)[0] >= 20


@pytest.mark.parametrize("previous", [None, 0, 2])
def test_paths_are_the_best_of_all_paths(previous):
    rng = np.random.default_rng(0)
    for _ in range(20):
        distance = rng.uniform(0, 3 * _LEAP, (5, 4)).astype(np.float32)

        def cost(path, distance=distance):
            sources = path if previous is None else (previous, *path)
            leaps = sum(after - before not in (0, 1) for before, after in itertools.pairwise(sources))
            return sum(distance[time, source] for time, source in enumerate(path)) + leaps * _LEAP

        best = min(itertools.product(range(4), repeat=5), key=cost)
        assert cost(_path(distance, previous)) == pytest.approx(cost(best), rel=1e-5)


def test_mouths_move_with_the_lips(renderer, mouths, filmed):
    chi, _ = filmed
    placed = chi[[15, 15]]
    pixels = 6.0
    placed[1, TRANSLATION.start] += pixels * 10 / renderer.camera.focal  # the face is 10 dm from the camera
    still, moved = mouths(placed, np.array([15, 15])).float()
    opening = renderer.render(torch.from_numpy(placed), renderer.model.mean_texture).mouth[:, 0] == 1
    inside = opening[0] & opening[1]
    assert inside.sum() > 30
    x, y = torch.meshgrid(torch.arange(128.0), torch.arange(128.0), indexing="xy")
    assert (still[0] - x)[inside].abs().max() <= 1  # as filmed, to rounding
    assert (still[1] - y)[inside].abs().max() <= 1
    assert (moved[0] - (x - pixels))[inside].abs().max() <= 1.5  # what was filmed further left
    assert (moved[1] - y)[inside].abs().max() <= 1.5
    assert (still[2][inside] == 15).all()


def test_dimmed_mouths_have_a_share_of_their_brightness(renderer, mouths, filmed):
    dimmed = FilmedMouths(renderer, *filmed, np.ones(FRAMES, bool), brightness=0.25)
    chi, sources = filmed[0][[15, 16]], np.array([19, 3])
    assert (dimmed(chi, sources).float() - mouths(chi, sources) / 4).abs().max() <= 0.75  # rounded once and twice


def test_no_brightness_beyond_what_was_filmed(renderer, filmed):
    with pytest.raises(ValueError, match="brightness"):
        FilmedMouths(renderer, *filmed, np.ones(FRAMES, bool), brightness=1.5)


def test_they_are_seen_between_the_lips_alone(renderer, mouths, filmed):
    chi = torch.from_numpy(filmed[0][[19]])
    background = torch.full((1, 3, 128, 128), 200, dtype=torch.uint8)
    albedo = renderer.model.mean_texture
    black, mask = render_over(renderer, chi, albedo, background)
    shown, same_mask = render_over(renderer, chi, albedo, background, mouths(chi.numpy(), np.array([19])))
    opening = renderer.render(chi, albedo).mouth[0, 0]
    assert torch.equal(mask, same_mask)
    assert torch.equal(black[..., opening == 0], shown[..., opening == 0])
    hole = opening == 1
    assert hole.sum() > 50
    assert not black[0][:, hole].any()
    x = torch.arange(128).expand(128, 128)
    assert (shown[0, 0].int() - x)[hole].abs().max() <= 1


def test_bytes_are_laid_over_as_numbers_are(renderer, filmed):
    chi = torch.from_numpy(filmed[0][17:20])
    draw = torch.Generator().manual_seed(3)
    background, interior = torch.randint(0, 256, (2, 3, 3, 128, 128), dtype=torch.uint8, generator=draw)
    albedo = renderer.model.mean_texture
    expected = compose(renderer.render(chi, albedo), background.float() / 255, interior.float() / 255)
    found, _ = render_over(renderer, chi, albedo, background, interior)
    assert (found - 255 * expected.clamp(0, 1)).abs().max() <= 0.51


def test_a_clip_is_rendered_with_mouths_of_other_times(renderer, mouths, filmed):
    chi, frames = filmed
    true = np.ascontiguousarray(frames.permute(0, 2, 3, 1).numpy())
    clip = SimpleNamespace(
        coefficients=chi, identity_features=np.zeros((FRAMES, 512), np.float32), frames=lambda part: true[part]
    )
    windows = render_clip(clip, slice(0, FRAMES), renderer, renderer.model.mean_texture, mouths=mouths)
    seen = 0
    for time in range(FRAMES):
        hole = renderer.render(torch.from_numpy(chi[[time]]), renderer.model.mean_texture).mouth[0, 0] == 1
        if hole.any():
            source = windows.rendered[time, 2][hole].unique()
            assert len(source) == 1
            assert abs(int(source) - time) >= 12
            seen += 1
    assert seen > 20
    assert torch.equal(windows.target, frames)


def test_a_face_without_a_mouth_is_refused(renderer, filmed):
    with pytest.raises(ValueError, match="membrane"):
        FilmedMouths(Renderer(SphereFace(mouth=False), size=32), *filmed, np.ones(FRAMES, bool))


def test_affine_maps_of_lips_are_recovered():
    rng = np.random.default_rng(1)
    lips = torch.from_numpy(rng.normal(0, 10, (3, 20, 2)).astype(np.float32))
    turn = torch.eye(2) + 0.05 * torch.from_numpy(rng.normal(size=(3, 2, 2)).astype(np.float32))
    shift = torch.from_numpy(rng.normal(0, 5, (3, 2)).astype(np.float32))
    found, moved = _map(lips, lips @ turn.mT + shift[:, None])
    assert (found - turn).abs().max() < 0.01
    assert (moved - shift).abs().max() < 0.2


def test_lips_on_a_line_are_mapped_by_a_similarity():
    line = torch.linspace(-10, 10, 20)[None, :, None] * torch.tensor([1.0, 0.0])
    turn = 1.2 * torch.tensor([[0.8, -0.6], [0.6, 0.8]])
    found, shift = _map(line, line @ turn.T + 3)
    torch.testing.assert_close(found[0], turn, atol=1e-4, rtol=0)
    torch.testing.assert_close(shift[0], torch.full((2,), 3.0), atol=1e-4, rtol=0)
