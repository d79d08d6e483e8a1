"""Pictures from fragments, in tensors: on any device, in any precision, with gradients."""

import torch


def barycentric_weights(projected: torch.Tensor, triangles: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """Perspective-correct weights at pixel centres, as a function of the vertices, with the triangles seen held fixed.

    Args:
        projected: (B, V, 3) x, y in pixels, depth in decimetres.
        triangles: (F, 3).
        seen: (B, H, W) triangle under each pixel centre, -1 where there is none.

    Returns:
        (B, H, W, 3) weights of the three vertices, 0 where there is none; differentiable in `projected`.
    """
    pixels = (seen.flatten() >= 0).nonzero()[:, 0]
    corners = _corners(triangles, seen, pixels, projected.shape[1])
    x, y, depth = projected.reshape(-1, 3).index_select(0, corners.flatten()).view(-1, 3, 3).unbind(-1)  # (N, 3)
    height, width = seen.shape[1:]
    x = x - (pixels % width + 0.5)[:, None]
    y = y - (torch.div(pixels, width, rounding_mode="floor") % height + 0.5)[:, None]
    (xa, xb, xc), (ya, yb, yc) = x.unbind(1), y.unbind(1)
    # Twice the areas opposite to the corners, over depth: that is linear on the screen.
    areas = torch.stack([xb * yc - xc * yb, xc * ya - xa * yc, xa * yb - xb * ya], dim=1) / depth
    weights = areas / areas.sum(dim=1, keepdim=True)
    return projected.new_zeros(seen.numel(), 3).index_copy(0, pixels, weights).view(*seen.shape, 3)


def interpolate(
    attributes: torch.Tensor, seen: torch.Tensor, barycentric: torch.Tensor, triangles: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attributes of vertices at the pixels that see one of `triangles`.

    Args:
        attributes: (B, V, C).
        seen: (B, H, W) triangle under each pixel centre; higher numbers than there are `triangles` are left out.
        barycentric: (B, H, W, 3) weights of its vertices.
        triangles: (F, 3).

    Returns:
        (B, H, W, C) interpolated attributes, 0 elsewhere, differentiable in `attributes` and `barycentric`, and
        (B, H, W) bool where they are known.
    """
    count, channels = attributes.shape[1:]
    drawn = (seen >= 0) & (seen < len(triangles))
    # Only the third of the picture that shows skin is worked on, with index_select: plain indexing takes twice as long.
    pixels = drawn.flatten().nonzero()[:, 0]
    corners = _corners(triangles, seen, pixels, count)
    weights = barycentric.reshape(-1, 3).index_select(0, pixels)
    values = attributes.reshape(-1, channels).index_select(0, corners.flatten()).view(-1, 3, channels)
    first, second, third = (weights[:, corner, None] * values[:, corner] for corner in range(3))
    image = attributes.new_zeros(drawn.numel(), channels).index_copy(0, pixels, first + second + third)
    return image.view(*drawn.shape, channels), drawn


def fill_rim(image: torch.Tensor, known: torch.Tensor, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Gives outline pixels whose centre misses the surface the mean colour of their neighbours.

    Args:
        image: (B, H, W, 3) colours.
        known: (B, H, W) where they are known.
        wanted: (B, H, W) where they are wanted.

    Returns:
        (B, H, W, 3) colours, and (B, H, W) where they are wanted and known now.
    """
    height, width = known.shape[1:]
    frame, row, column = (wanted & ~known).nonzero().unbind(1)
    total, count = image.new_zeros(len(frame), 3), image.new_zeros(len(frame), 1)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            near = frame, (row + down).clamp(0, height - 1), (column + right).clamp(0, width - 1)
            there = known[near][:, None].to(image.dtype)
            total = total + image[near] * there
            count = count + there
    image = image.index_put((frame, row, column), total / count.clamp_min(1))
    filled = known & wanted
    filled[frame, row, column] = count[:, 0] > 0
    return image, filled


def _corners(triangles: torch.Tensor, seen: torch.Tensor, pixels: torch.Tensor, count: int) -> torch.Tensor:
    """(N, 3) rows, in a batch of `count` vertices a frame, of the triangles that flat `pixels` see."""
    frame = torch.div(pixels, seen[0].numel(), rounding_mode="floor")
    return triangles.index_select(0, seen.flatten().index_select(0, pixels)) + frame[:, None] * count
