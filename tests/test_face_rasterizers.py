import importlib.util

import numpy as np
import pytest
import torch

from face.camera import Camera
from face.rasterizers import RASTERIZERS
from face.rasterizers.fragments import SAMPLES, Fragments, Surfaces
from face.rasterizers.interface import Rasterizer
from face.rasterizers.numba_backend import NumbaRasterizer
from media.errors import InputError
from tests.sphere_face import SphereFace


def naive(projected: np.ndarray, triangles: np.ndarray, size: int) -> tuple[np.ndarray, ...]:
    """Every pixel against every triangle, by solving for the point of the triangle on the pixel's ray."""
    triangle = np.full((size, size), -1)
    barycentric, depth = np.zeros((size, size, 3)), np.full((size, size), np.inf)
    for row in range(size):
        for column in range(size):
            for face, corners in enumerate(triangles):
                x, y, z = projected[corners].astype(np.float64).T
                if (x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0]) >= 0:
                    continue
                # A point of the triangle in homogeneous coordinates (x z, y z, z) that lies on the ray of the pixel.
                system = np.stack([(x - column - 0.5) * z, (y - row - 0.5) * z, np.ones(3)])
                weights = np.linalg.solve(system, [0, 0, 1])
                if weights.min() >= -1e-12 and weights @ z < depth[row, column]:
                    triangle[row, column], depth[row, column] = face, weights @ z
                    barycentric[row, column] = weights
    return triangle, barycentric, depth


def scene(seed: int, count: int = 25, size: int = 24) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(1, 3 * count, 3, generator=generator)
    projected = torch.cat([corners[..., :2] * (size + 16) - 8, corners[..., 2:] * 8 + 1], -1)
    return projected, torch.arange(3 * count).reshape(count, 3)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_pixel_equals_the_naive_loop(seed):
    projected, triangles = scene(seed)
    found = NumbaRasterizer()(projected, triangles, 24)
    triangle, barycentric, depth = naive(projected[0].numpy(), triangles.numpy(), 24)
    assert (triangle >= 0).mean() > 0.3
    np.testing.assert_array_equal(found.triangle[0], triangle)
    np.testing.assert_allclose(found.barycentric[0], barycentric, atol=1e-5)
    np.testing.assert_allclose(found.depth[0], depth, rtol=1e-5)


def sphere_seen() -> Fragments:
    model = SphereFace()
    triangles = torch.cat([model.triangles, model.mouth_triangles])
    return NumbaRasterizer()(Camera(128).project(model.mean_shape[None]), triangles, 128)


def test_depth_of_a_sphere():
    fragments = sphere_seen()
    camera = Camera(128)
    y, x = (np.mgrid[:128, :128] + 0.5 - camera.centre) / camera.focal
    # The ray z (x, -y, -1) + (0, 0, 10) meets the sphere of radius r where this quadratic in z is zero.
    a, b, c = x**2 + y**2 + 1, -20.0, 100 - SphereFace.radius**2
    discriminant = b * b - 4 * a * c
    expected = (-b - np.sqrt(np.maximum(discriminant, 0))) / (2 * a)
    inside = discriminant > 0.3
    np.testing.assert_allclose(fragments.depth[0].numpy()[inside], expected[inside], atol=6e-3)
    assert (fragments.triangle[0].numpy()[discriminant < 0] == -1).all()
    assert torch.isinf(fragments.depth[0][fragments.triangle[0] < 0]).all()
    assert (fragments.barycentric[0][fragments.triangle[0] < 0] == 0).all()


def test_no_cracks_between_neighbours():
    # Vertices exactly on pixel centres and sides through them: the hardest case for two neighbours to agree on.
    columns = torch.arange(0, 33, 4) + 0.5
    y, x = torch.meshgrid(columns, columns, indexing="ij")
    projected = torch.stack([x, y, torch.full_like(x, 10)], -1).reshape(1, -1, 3)
    index = torch.arange(81).reshape(9, 9)
    a, b, c, d = index[:-1, :-1], index[1:, :-1], index[:-1, 1:], index[1:, 1:]
    triangles = torch.cat([torch.stack([a, b, c], -1).reshape(-1, 3), torch.stack([b, d, c], -1).reshape(-1, 3)])
    for shift in torch.rand(20, 2, generator=torch.Generator().manual_seed(0)) - 0.5:
        moved = projected + torch.tensor([*shift, 0.0])
        assert (NumbaRasterizer()(moved, triangles, 34).triangle[0, 2:31, 2:31] >= 0).all()
    assert (NumbaRasterizer()(projected, triangles, 34).triangle[0, :33, :33] >= 0).all()


def test_back_faces_and_what_is_behind_the_camera_are_not_seen():
    projected, triangles = scene(0)
    front = NumbaRasterizer()(projected, triangles, 24).triangle
    back = NumbaRasterizer()(projected, triangles.flip(1), 24).triangle
    shown = set(front.unique().tolist()) & set(back.unique().tolist())
    assert shown <= {-1}
    behind = torch.cat([projected[..., :2], -projected[..., 2:]], -1)
    assert (NumbaRasterizer()(behind, triangles, 24).triangle == -1).all()


def test_no_far_plane():
    projected, triangles = scene(0)
    far = projected * torch.tensor([1.0, 1.0, 1000.0])
    torch.testing.assert_close(
        NumbaRasterizer()(far, triangles, 24).triangle, NumbaRasterizer()(projected, triangles, 24).triangle
    )


def test_broken_vertices_draw_nothing_and_do_not_hang():
    projected, triangles = scene(0)
    broken = projected.clone()
    broken[0, ::3, 0] = torch.nan
    assert (NumbaRasterizer()(broken, triangles, 24).triangle == -1).all()
    broken[0, ::3, 0] = torch.inf
    NumbaRasterizer()(broken, triangles, 24)


def test_batch_equals_single_frames_on_any_number_of_threads():
    frames = torch.cat([scene(seed)[0] for seed in range(5)])
    triangles = scene(0)[1]
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        together = NumbaRasterizer()(frames, triangles, 24)
    finally:
        torch.set_num_threads(before)
    for k in range(5):
        alone = NumbaRasterizer()(frames[k : k + 1], triangles, 24)
        assert torch.equal(together.triangle[k], alone.triangle[0])
        assert torch.equal(together.barycentric[k], alone.barycentric[0])


def test_depth_alone_is_that_of_the_fragments():
    frames, triangles = torch.cat([scene(seed)[0] for seed in range(3)]), scene(0)[1]
    fragments = NumbaRasterizer()(frames, triangles, 24)
    assert torch.equal(NumbaRasterizer().depth(frames, triangles, 24), fragments.depth)
    assert fragments.depth.isfinite().any()
    assert fragments.depth.isinf().any()


def covered(projected: torch.Tensor, surfaces: Surfaces, size: int, name: str = "numba") -> torch.Tensor:
    rasterizer = RASTERIZERS[name]()
    return rasterizer.coverage(projected, surfaces, rasterizer(projected, surfaces.triangles, size))


@pytest.mark.parametrize("seed", [3, 4])
def test_coverage_counts_samples_of_each_kind(seed):
    projected, triangles = scene(seed)
    found = covered(projected.repeat(3, 1, 1), Surfaces(triangles, torch.arange(len(triangles)) % 2, 2), 24)
    kinds = []
    for right, down in SAMPLES:
        shifted = projected[0] - torch.tensor([right, down, 0.0])
        triangle = naive(shifted.numpy(), triangles.numpy(), 24)[0]
        kinds.append(np.where(triangle < 0, -1, triangle % 2))
    for label in (0, 1):
        expected = (np.array(kinds) == label).mean(0)
        for frame in found:
            np.testing.assert_array_equal(frame[label], expected)


def test_coverage_of_a_disc_is_its_area():
    model = SphereFace()
    camera = Camera(64)
    triangles = torch.cat([model.triangles, model.mouth_triangles])
    labels = (torch.arange(len(triangles)) >= len(model.triangles)).long()
    share = covered(camera.project(model.mean_shape[None]), Surfaces(triangles, labels, 2), 64)
    ratio = model.radius / 10
    area = np.pi * camera.focal**2 * ratio**2 / (1 - ratio**2)  # of a sphere's outline in perspective
    assert abs(share.sum().item() - area) < 0.01 * area
    assert set(share.unique().tolist()) == {0.0, 0.25, 0.5, 0.75, 1.0}


def test_coverage_sees_a_slit_that_no_pixel_centre_sees():
    # Two sheets with a gap of a quarter of a pixel between them, from y = 10.55 to 10.80, past the centres at 10.5.
    corners = [[x, y, 10.0] for y in (2.0, 10.55, 10.8, 30.0) for x in (2.0, 30.0)]
    triangles = torch.tensor([[0, 2, 1], [1, 2, 3], [4, 6, 5], [5, 6, 7]])
    projected = torch.tensor(corners)[None]
    share = covered(projected, Surfaces(triangles, torch.zeros(4).long(), 1), 32)[0, 0]
    assert (NumbaRasterizer()(projected, triangles, 32).triangle[0, 3:29, 3:29] >= 0).all()
    assert (share[10, 3:29] == 0.75).all()
    assert (share[3:10, 3:29] == 1).all()
    assert (share[11:29, 3:29] == 1).all()


def test_contour_is_where_a_kind_ends():
    # A strip of three squares, the middle one of another kind and there twice, once per side.
    squares = [[[k, k + 4, k + 1], [k + 1, k + 4, k + 5]] for k in range(3)]
    triangles = torch.tensor([*squares[0], *squares[1], *[t[::-1] for t in squares[1]], *squares[2]])
    surfaces = Surfaces(triangles, torch.tensor([0, 0, 1, 1, 1, 1, 0, 0]), 2)
    edges = {tuple(edge) for edge in surfaces.contour.tolist()}
    around = {(0, 1), (1, 2), (2, 3), (4, 5), (5, 6), (6, 7), (0, 4), (3, 7)}
    assert edges == around | {(1, 5), (2, 6)}


@pytest.mark.parametrize("seed", [5, 6])
def test_picture_equals_the_naive_loop(seed):
    projected, triangles = scene(seed)
    labels = (torch.arange(len(triangles)) >= 15).long()
    colours = torch.rand(1, projected.shape[1], 3, generator=torch.Generator().manual_seed(seed))
    layers = NumbaRasterizer().draw(projected, colours, Surfaces(triangles, labels, 2), 24)
    triangle, barycentric, _ = naive(projected[0].numpy(), triangles.numpy(), 24)
    first = (triangle >= 0) & (triangle < 15)
    corners = colours[0].numpy()[triangles.numpy()[triangle]]  # (24, 24, 3 corners, 3)
    expected = np.einsum("hwk,hwkc->hwc", barycentric, corners)
    found = layers.image[0].permute(1, 2, 0).numpy()
    assert first.sum() > 50
    np.testing.assert_allclose(found[first], expected[first], atol=1e-5)
    # Where samples see the first kind but the centre does not: the mean of the neighbours that it does see.
    padded, around = np.pad(first, 1, "edge"), np.pad(expected * first[..., None], ((1, 1), (1, 1), (0, 0)), "edge")
    rim = 0
    for row, column in zip(*np.nonzero(~first), strict=True):
        known = padded[row : row + 3, column : column + 3]
        total = around[row : row + 3, column : column + 3].sum((0, 1))
        if layers.share[0, 0, row, column] > 0:
            np.testing.assert_allclose(found[row, column], total / known.sum(), atol=1e-5)
            rim += 1
    assert rim > 10


def test_picture_equals_the_steps_in_tensors():
    """The pass of the CPU's loops and the steps every backend inherits, on a closed surface with two kinds."""
    model = SphereFace(40, 80)
    triangles = torch.cat([model.triangles, model.mouth_triangles])
    labels = (torch.arange(len(triangles)) >= len(model.triangles)).long()
    poses = torch.stack([model.mean_shape, model.mean_shape + torch.tensor([0.3, -0.5, 0.3])])  # the second is cut off
    projected = Camera(64).project(poses)
    colours = torch.rand(projected.shape, generator=torch.Generator().manual_seed(0))
    surfaces = Surfaces(triangles, labels, 2)
    one_pass = NumbaRasterizer().draw(projected, colours, surfaces, 64)
    steps = Rasterizer.draw(NumbaRasterizer(), projected, colours, surfaces, 64)
    torch.testing.assert_close(one_pass.image, steps.image, atol=1e-5, rtol=0)
    assert torch.equal(one_pass.share, steps.share)


def test_big_triangles_that_fill_the_list_of_pairs_several_times():
    # Ten sheets over the whole picture, the nearest last, each of the other kind than the one behind it.
    sheets = [[[x, y, 20.0 - depth] for y in (-9.0, 40.0) for x in (-9.0, 40.0)] for depth in range(10)]
    quad = torch.tensor([[0, 2, 1], [1, 2, 3]])
    triangles = torch.cat([quad + 4 * k for k in range(10)])
    labels = torch.arange(10).repeat_interleave(2) % 2
    order = labels.argsort(stable=True)
    projected = torch.tensor(sheets).reshape(1, -1, 3)
    surfaces = Surfaces(triangles[order], labels[order], 2)
    share = NumbaRasterizer().draw(projected, torch.ones_like(projected), surfaces, 32).share
    assert (share[0, 1] == 1).all()
    assert (share[0, 0] == 0).all()
    assert (NumbaRasterizer()(projected, triangles, 32).depth == 11).all()


def test_gradients_of_vertices_and_colours_at_fixed_visibility():
    projected, triangles = scene(7, count=6, size=16)
    surfaces = Surfaces(triangles, torch.zeros(6).long(), 1)
    projected, colours = projected.double(), torch.rand(1, 18, 3, generator=torch.Generator().manual_seed(7)).double()
    rasterizer = NumbaRasterizer()

    def image(places: torch.Tensor, paint: torch.Tensor) -> torch.Tensor:
        return rasterizer.draw(places, paint, surfaces, 16).image

    inputs = projected.requires_grad_(), colours.requires_grad_()
    assert torch.autograd.gradcheck(image, inputs, eps=1e-6, atol=1e-5)
    gradients = torch.autograd.grad(image(*inputs).square().sum(), inputs)
    assert all((gradient != 0).any() for gradient in gradients)
    assert rasterizer.draw(*inputs, surfaces, 16).share.requires_grad is False


@pytest.mark.skipif(importlib.util.find_spec("pytorch3d") is None, reason="PyTorch3D is not installed")
def test_pytorch3d_sees_the_same():
    model = SphereFace(30, 60)
    poses = torch.stack([model.mean_shape, model.mean_shape + torch.tensor([0.1, -0.05, 0.3])])
    projected = Camera(64).project(poses)
    ours = RASTERIZERS["numba"]()(projected, model.triangles, 64)
    theirs = RASTERIZERS["pytorch3d"]()(projected, model.triangles, 64)
    same = ours.triangle == theirs.triangle
    assert same.float().mean() > 0.999  # pixels on an edge may go to either neighbour
    torch.testing.assert_close(ours.barycentric[same], theirs.barycentric[same], atol=1e-3, rtol=0)
    torch.testing.assert_close(ours.depth[same], theirs.depth[same], atol=1e-4, rtol=0)
    labels = torch.arange(len(model.triangles)) % 3
    surfaces = Surfaces(model.triangles, labels, 3)
    our_share, their_share = (covered(projected, surfaces, 64, name) for name in ("numba", "pytorch3d"))
    assert (our_share - their_share).abs().mean() < 1e-3


@pytest.mark.skipif(importlib.util.find_spec("pytorch3d") is not None, reason="PyTorch3D is installed")
def test_missing_pytorch3d_says_what_to_do():
    with pytest.raises(InputError, match=r"face.rasterizer=numba"):
        RASTERIZERS["pytorch3d"]()
