import numpy as np
import torch
from torch.utils.data import default_collate

from datamodules.windows import RenderedFrames, RenderedWindows
from lightning_modules.pixels import in_network_range, to_network, to_pixels


def test_batches_of_bytes_become_what_networks_see():
    marks = torch.arange(6, dtype=torch.uint8)[:, None, None, None].expand(6, 3, 8, 8)
    frames = RenderedFrames(marks, marks + 100, torch.full((6, 1, 8, 8), 255, dtype=torch.uint8), torch.eye(512)[:6])
    batch = default_collate([RenderedWindows(frames)[t] for t in (2, 5)])
    seen = in_network_range(batch)
    np.testing.assert_allclose(seen["rendered"][:, :, 0, 0, 0], np.array([[0, 1, 2], [3, 4, 5]]) / 127.5 - 1, atol=1e-6)
    np.testing.assert_allclose(seen["target"][:, 0, 0, 0], np.array([102, 105]) / 127.5 - 1, atol=1e-6)
    assert (seen["face_mask"] == 1).all()
    assert seen["face_mask"].dtype == torch.float32
    assert seen["identity"] is batch["identity"]
    assert seen["index"].tolist() == [2, 5]
    for name, values in in_network_range(seen).items():
        assert values is seen[name], name


def test_bytes_survive_the_network_range():
    values = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_pixels(to_network(values)), values)
    assert to_network(values).min() == -1
    assert to_network(values).max() == 1
