import numpy as np
import pytest
import torch

from face import coefficients as c


def test_the_parts_follow_each_other_without_gap() -> None:
    parts = [c.IDENTITY, c.EXPRESSION, c.TEXTURE, c.ANGLES, c.ILLUMINATION, c.TRANSLATION]
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(c.SIZE))
    assert [part.stop - part.start for part in parts] == [80, 64, 80, 3, 27, 3]


@pytest.mark.parametrize("kind", [np.asarray, torch.tensor])
@pytest.mark.parametrize("leading", [(), (4,), (2, 3)])
def test_pose_is_taken_and_put_without_touching_the_rest(kind: type, leading: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    chi = kind(rng.normal(size=(*leading, 257)))
    pose = kind(rng.normal(size=(*leading, 6)))
    before = np.asarray(chi).copy()
    changed = c.with_pose(chi, pose)
    np.testing.assert_array_equal(np.asarray(c.get_pose(changed)), np.asarray(pose))
    np.testing.assert_array_equal(np.asarray(chi), before)  # the input is left alone
    rest = [i for i in range(257) if not (224 <= i < 227 or i >= 254)]
    np.testing.assert_array_equal(np.asarray(changed)[..., rest], before[..., rest])
    np.testing.assert_array_equal(np.asarray(c.get_pose(chi)), before[..., [224, 225, 226, 254, 255, 256]])


def test_one_pose_serves_many_frames() -> None:
    changed = c.with_pose(np.zeros((5, 257)), np.arange(6.0))
    np.testing.assert_array_equal(c.get_pose(changed), np.tile(np.arange(6.0), (5, 1)))
