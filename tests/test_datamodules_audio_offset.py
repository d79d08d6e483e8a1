"""Offsets of sound against picture: found where they are known, refused where nothing can be known."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from datamodules.audio_offset import LARGEST, SHORTEST, OffsetEstimate, estimate_offset, offset_curve, offset_flag
from datamodules.clip import shift_sound
from datamodules.prepare import prepare_video
from datamodules.synthetic.film import make_person_film
from datamodules.synthetic.performance import perform
from datamodules.synthetic.person import draw_person
from face.coefficients import EXPRESSION
from face.models.morphable_model import expression_scale, mouth_opening_map
from face.models.registry import load_face_model
from media.audio import read_audio
from media.video import VideoWriter, stream_frames

FRAMES = 300


@cache
def spoken(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Opening, movement and sound of an embedded person, with a second of sound more at either end."""
    model = load_face_model()
    performance = perform(draw_person(seed), model, FRAMES / 25 + 2)
    expression = performance.chi[:, EXPRESSION]
    return expression @ mouth_opening_map(model), expression * expression_scale(model), performance.speech.samples


@pytest.mark.parametrize("seed", [40, 41])
def test_every_shift_is_found_within_half_a_frame(seed: int) -> None:
    opening, movement, samples = spoken(seed)
    rng = np.random.default_rng(seed)
    seen = slice(25, 25 + FRAMES)
    jitter = 0.1 * opening.std() * rng.standard_normal(FRAMES)  # a tracker is not exact
    for offset in range(-8, 9):
        heard = samples[640 * (25 + offset) : 640 * (25 + offset + FRAMES)]
        estimate = estimate_offset(opening[seen] + jitter, movement[seen], heard)
        assert abs(estimate.frames - offset) <= 0.5
        assert estimate.is_clear
        assert estimate.correction == (offset if abs(offset) > 1 else 0)


def test_noise_in_place_of_speech_is_never_corrected() -> None:
    opening, movement, _ = spoken(40)
    for seed in range(5):
        noise = 0.1 * np.random.default_rng(seed).standard_normal(640 * FRAMES).astype(np.float32)
        assert estimate_offset(opening[:FRAMES], movement[:FRAMES], noise).correction == 0


def test_somebody_elses_speech_is_less_clear_than_ones_own() -> None:
    opening, movement, samples = spoken(40)
    own = estimate_offset(opening[:FRAMES], movement[:FRAMES], samples[: 640 * FRAMES])
    other = estimate_offset(opening[:FRAMES], movement[:FRAMES], spoken(41)[2][: 640 * FRAMES])
    assert other.confidence < 0.5 * own.confidence


def test_too_little_to_tell() -> None:
    opening, movement, samples = spoken(40)
    unknown = OffsetEstimate(0.0, 0.0, 0.0)
    assert estimate_offset(opening[: SHORTEST - 1], movement[: SHORTEST - 1], samples) == unknown
    assert estimate_offset(np.full(FRAMES, 0.1), movement[:FRAMES], samples) == unknown
    assert estimate_offset(opening[:FRAMES], movement[:FRAMES], np.zeros(640 * FRAMES, np.float32)) == unknown


def test_peak_at_the_end_of_the_range_is_not_believed() -> None:
    opening, movement, samples = spoken(40)
    beyond = LARGEST + 3
    heard = samples[640 * (25 - beyond) :]
    estimate = estimate_offset(opening[25:FRAMES], movement[25:FRAMES], heard)
    assert estimate.correction == 0 or abs(estimate.frames) < LARGEST - 1
    assert estimate.confidence < 0.3


def test_curve_does_not_care_about_units() -> None:
    opening, movement, samples = spoken(40)
    sound = samples[: 640 * FRAMES]
    curve = offset_curve(opening[:FRAMES], movement[:FRAMES], sound)
    scaled = offset_curve(3 * opening[:FRAMES] + 1, 0.2 * movement[:FRAMES] - 5, 0.3 * sound)
    np.testing.assert_allclose(curve, scaled, atol=1e-2)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "person.mp4"
    make_person_film(path, 12, seed=40)
    return path


@pytest.mark.parametrize("frames", [-6, 4])
def test_a_film_whose_sound_was_moved_is_put_in_step(film: Path, tmp_path: Path, frames: int) -> None:
    """From the file on: the sound of a film is moved, and preparation moves it back."""
    moved = tmp_path / "moved.mp4"
    with VideoWriter(moved, 512, 512, audio=shift_sound(read_audio(film), -frames)) as writer:
        for picture in stream_frames(film):
            writer.write(picture)
    clip = prepare_video(moved, tmp_path / "clips")
    assert clip.audio_offset == frames


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "lowest", "highest"), [("yi31", -1, 0.5), ("orange_19s", -3.7, -1), ("window_19s", -7.5, -5)]
)
def test_recordings_out_of_step(name: str, lowest: float, highest: float) -> None:
    from face.crop import crop_around
    from face.fitting import geometry_coefficients
    from face.landmarks import mouth_opening
    from face.reconstructors.geometry import Footage
    from face.reconstructors.registry import RECONSTRUCTIONS
    from face.tracking import track

    video = Path(__file__).parents[2] / "shared/data/personal" / f"{name}.mp4"
    if not video.exists():
        pytest.skip("recording is not here")
    tracked = track(stream_frames(video, 0, FRAMES), str(video))
    model, crop = load_face_model(), crop_around(tracked.landmarks)
    footage = Footage(tracked.landmarks, tracked.confidence, FRAMES, crop, lambda: stream_frames(video, 0, FRAMES))
    chi = geometry_coefficients(RECONSTRUCTIONS["closed_form"](footage, model, None))
    movement = chi[:, EXPRESSION] * expression_scale(model)
    estimate = estimate_offset(mouth_opening(tracked.landmarks), movement, read_audio(video)[: 640 * FRAMES])
    assert lowest <= estimate.frames <= highest
    assert estimate.is_clear


def test_a_far_offset_needs_more_evidence_than_a_near_one() -> None:
    confidence = 0.13
    assert OffsetEstimate(-2.0, confidence, 0.4).correction == -2
    assert OffsetEstimate(8.3, confidence, 0.4).correction == 0
    assert OffsetEstimate(8.3, 0.2, 0.4).correction == 8


@pytest.mark.parametrize(
    ("flag", "numbers"),
    [
        ("given", (607, -6, None, None)),
        ("given", (29, 0, None, None)),
        ("too_short", (SHORTEST - 1, 0, 0.0, 0.0)),
        ("corrected", (SHORTEST, -6, -5.8, 0.2)),
        ("in_step", (SHORTEST, 0, -1.2, 0.2)),
        ("unclear", (SHORTEST, 0, -1.2, 0.05)),
        ("unclear", (SHORTEST, 0, 9.0, 0.15)),  # far, and not clear enough for that
        ("unclear", (SHORTEST, 0, 0.0, 0.0)),  # a face that does not move
        ("unclear", (SHORTEST, 0, 5.0, 0.15)),  # 0.1496 before it was rounded
    ],
)
def test_a_word_for_every_clip(flag, numbers):
    assert offset_flag(*numbers) == flag


def test_the_word_is_that_of_the_estimate():
    for estimate in (OffsetEstimate(*numbers, 0.4) for numbers in ((-6.0, 0.3), (-1.0, 0.3), (-6.0, 0.1), (1.0, 0.0))):
        flag = offset_flag(300, estimate.correction, estimate.frames, estimate.confidence)
        assert (flag == "corrected") == bool(estimate.correction)
        assert (flag == "unclear") == (not estimate.is_clear)
