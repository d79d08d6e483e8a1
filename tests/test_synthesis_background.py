"""Background matching against a slow and literal reading of its rules."""

import itertools

import numpy as np
import pytest

from media.errors import InputError
from synthesis.background import (
    AXES,
    BackgroundMatch,
    find_key_frames,
    fit_pose,
    follow_pose,
    match_background,
    with_amplitude,
)


def wandering(frames, seed, amplitude=0.2):
    """Head angles like real ones: a slow random walk with some tremor, (frames, 3) radians."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(0, 0.01, (frames, 3)), axis=0)
    return amplitude * np.sin(walk * 4) + rng.normal(0, 0.004, (frames, 3))


def is_extreme(values, i, order):
    left = [values[max(i - j, 0)] for j in range(1, order + 1)]
    right = [values[min(i + j, len(values) - 1)] for j in range(1, order + 1)]
    return all(values[i] > v for v in left + right) or all(values[i] < v for v in left + right)


def naive_keys(angles, axes):
    n = len(angles)
    if n < 7:
        return sorted({0, n - 1})
    hann = [0.5 - 0.5 * np.cos(2 * np.pi * j / 6) for j in range(7)]
    lists = []
    for axis in axes:
        smooth = []
        for t in range(n):
            total = 0.0
            for j in range(7):
                i = t + j - 3
                i = -i if i < 0 else 2 * (n - 1) - i if i > n - 1 else i
                total += hann[j] * angles[i, axis]
            smooth.append(total / sum(hann))
        lists.append((smooth, [i for i in range(n) if is_extreme(smooth, i, 1)]))
    limit = n / (5 if len(axes) == 3 else 10)
    while len({i for _, c in lists for i in c}) > limit:
        lists = [(s, [c[k] for k in range(len(c)) if is_extreme([s[i] for i in c], k, 2)]) for s, c in lists]
    keys = sorted({i for _, c in lists for i in c})
    k = 0
    while k + 1 < len(keys):
        a, b = keys[k], keys[k + 1]
        if b - a < 3:
            keys.remove(a if max(abs(angles[b])) > max(abs(angles[a])) else b)
        else:
            k += 1
    return sorted({0, *keys, n - 1})


def naive_match(predicted, gallery, axes):
    keys = naive_keys(predicted, axes)
    matches = []
    for k, key in enumerate(keys):
        allowed = range(len(gallery))
        if k:
            period = key - keys[k - 1]
            allowed = [g for g in allowed if matches[-1] - period <= g < matches[-1] + period]
        matches.append(min(allowed, key=lambda g: sum(abs(gallery[g, a] - predicted[key, a]) for a in range(3))))
    source = [matches[0]] * len(predicted)
    for (a, b), (p, q) in zip(itertools.pairwise(keys), itertools.pairwise(matches), strict=True):
        for t in range(a, b + 1):
            source[t] = int(np.floor(p + (q - p) * (t - a) / (b - a) + 0.5 + 1e-9))
    return source, keys


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize(("frames", "gallery"), [(307, 300), (60, 300), (1500, 120), (7, 5), (6, 50), (2, 2), (1, 1)])
def test_matches_the_literal_reading(axis, frames, gallery):
    predicted, source = wandering(frames, frames), wandering(gallery, 1)
    match = match_background(predicted, source, axis)
    frames_naive, keys_naive = naive_match(predicted, source, AXES[axis])
    assert match.key_frames.tolist() == keys_naive
    assert match.source_frames.tolist() == frames_naive


@pytest.mark.parametrize("seed", range(20))
def test_video_is_never_played_faster_than_filmed(seed):
    match = match_background(wandering(400, seed, 0.5), wandering(100, seed + 50))
    assert np.abs(np.diff(match.source_frames)).max() <= 1
    assert match.source_frames.min() >= 0
    assert match.source_frames.max() < 100
    assert len(match.source_frames) == 400


def test_nearest_pose_of_the_whole_video_begins():
    gallery = wandering(200, 3)
    match = match_background(gallery[150:160], gallery)
    assert match.source_frames[0] == 150


def test_slow_turns_are_found_and_followed():
    # A head turning slowly left and right: one key frame per turning point, and the same turn in the background.
    t = np.arange(250)
    angles = np.zeros((250, 3))
    angles[:, 1] = 0.3 * np.sin(2 * np.pi * t / 100)
    assert find_key_frames(angles).tolist() == [0, 25, 75, 125, 175, 225, 249]
    match = match_background(angles, angles[:200])
    error = np.abs(angles[match.source_frames, 1] - angles[:, 1])
    assert error[match.key_frames].max() < 0.02  # the reach to the right ends one frame early
    assert error.mean() < 0.03


def test_axis_chooses_whose_extremes_count():
    angles = np.zeros((200, 3))
    for axis, period in enumerate((40, 50, 80)):
        angles[:, axis] = 0.1 * np.sin(2 * np.pi * np.arange(200) / period)
    keys = {axis: set(find_key_frames(angles, axis).tolist()) for axis in AXES}
    assert {10, 30, 50} <= keys["pitch"]
    assert {20, 60, 100} <= keys["roll"]
    assert keys["yaw"] != keys["roll"]
    assert len(keys["all"]) > max(len(keys[a]) for a in ("pitch", "yaw", "roll"))


def test_at_most_a_tenth_of_noise_becomes_key_frames():
    noise = np.random.default_rng(0).normal(size=(500, 3))
    keys = find_key_frames(noise)
    assert len(keys) <= 500 / 10 + 2
    assert np.diff(keys[1:-1]).min() >= 3


def test_motionless_head_stays_on_one_frame():
    match = match_background(np.full((50, 3), 0.1), np.full((10, 3), 0.1))
    assert match.key_frames.tolist() == [0, 49]
    assert set(match.source_frames.tolist()) == {0}


def price(source, predicted, gallery):
    """What a way to play the video costs, frame by frame."""
    steps = [b - a for a, b in itertools.pairwise(source)]
    errors = sum(abs(predicted[t][a] - gallery[g][a]) for t, g in enumerate(source) for a in range(3))
    return errors + 0.1 * steps.count(0) + 0.1 * sum(abs(b - a) for a, b in itertools.pairwise(steps))


@pytest.mark.parametrize(("frames", "length"), [(1, 4), (2, 1), (5, 2), (7, 4), (8, 3)])
@pytest.mark.parametrize("size", [0.05, 0.3])
def test_path_is_the_cheapest_of_all(frames, length, size):
    rng = np.random.default_rng(frames)
    predicted, gallery = size * rng.normal(size=(frames, 3)), size * rng.normal(size=(length, 3))
    ways = (
        tuple(itertools.accumulate(steps, initial=start))
        for start in range(length)
        for steps in itertools.product((-1, 0, 1), repeat=frames - 1)
    )
    best = min(price(way, predicted, gallery) for way in ways if min(way) >= 0 and max(way) < length)
    found = follow_pose(predicted, gallery)
    assert found.dtype == np.int64
    assert price(found.tolist(), predicted, gallery) == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_path_is_cheaper_than_key_frames_and_never_faster_than_filmed(seed):
    predicted, gallery = wandering(400, seed, 0.5), wandering(100, seed + 50)
    source = follow_pose(predicted, gallery)
    assert np.abs(np.diff(source)).max() == 1
    assert (source >= 0).all()
    assert (source < 100).all()
    keyed = match_background(predicted, gallery).source_frames
    assert price(source.tolist(), predicted, gallery) < price(keyed.tolist(), predicted, gallery)


def test_path_plays_what_was_filmed():
    gallery = wandering(120, 0)
    np.testing.assert_array_equal(follow_pose(gallery[30:90], gallery), np.arange(30, 90))
    np.testing.assert_array_equal(follow_pose(gallery[90:30:-1], gallery), np.arange(90, 30, -1))


def test_pose_is_that_of_the_frame_behind():
    pose = np.arange(60.0).reshape(10, 6)
    np.testing.assert_array_equal(fit_pose(np.array([3, 4, 4]), pose), pose[[3, 4, 4]])


def test_result_is_of_integers():
    match = match_background(wandering(30, 0), wandering(30, 1))
    assert isinstance(match, BackgroundMatch)
    assert match.source_frames.dtype == match.key_frames.dtype == np.int64


def test_wrong_inputs_are_named():
    good = wandering(20, 0)
    with pytest.raises(InputError, match="pitch, yaw, roll, all"):
        match_background(good, good, "nod")
    with pytest.raises(ValueError, match="gallery_angles"):
        match_background(good, good[:0])
    with pytest.raises(ValueError, match="predicted_angles"):
        match_background(np.full((20, 3), np.nan), good)
    with pytest.raises(ValueError, match="predicted_angles"):
        match_background(np.zeros((20, 6)), good)
    with pytest.raises(ValueError, match="gallery_angles"):
        follow_pose(good, good[:0])


def test_amplitude_of_the_video_course_of_the_prediction():
    rng = np.random.default_rng(0)
    predicted, gallery = rng.normal(0.1, 0.01, (50, 3)), rng.normal(-0.2, [0.1, 0.2, 0.3], (80, 3))
    predicted[:, 2] = 0.7
    given = with_amplitude(predicted, gallery)
    np.testing.assert_allclose(given.mean(0), gallery.mean(0), atol=1e-12)
    np.testing.assert_allclose(given[:, :2].std(0), gallery[:, :2].std(0))
    assert given[:, 2].std() == 0
    for axis in (0, 1):
        assert np.corrcoef(given[:, axis], predicted[:, axis])[0, 1] == pytest.approx(1)
