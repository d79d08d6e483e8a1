"""The loops that colour the pixels of a scene, compiled by numba; they hold no lock.

Triangles are about as large as samples, so most pixels see several and little is used twice. What can be done for many
points at once (textures, light, highlights) is therefore kept apart from what cannot (finding out what they see), and
done in plain loops over rows of numbers, which fill the vectors of the CPU.
"""

from typing import Any, NamedTuple

import numba
import numpy as np

SAMPLES = 2  # per pixel side
VALUES = 16  # of a vertex: normal 3, texture place 2, tint 3, tangent 3, then zeros that fill a vector of the CPU
FIRST_TEXTURE, FIRST_TINT, FIRST_TANGENT = 3, 5, 8  # where they begin
_DONE = -2  # mark of a sample that is coloured already
_DOUBLINGS = 8  # of the sharpest highlight

_compiled = numba.njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
# Of array elements: numba asks of each signed number whether it counts from the end.
_index: Any = np.uint64


class _Points(NamedTuple):
    """Places of one row of the picture that need a colour: mostly one per pixel, one per surface that a pixel shows.

    Attributes:
        values: (VALUES, N) float32 means of what the samples carry.
        material: (4, N) float32 their rows of the table of materials.
        column: (N,) pixel.
        samples: (N,) float32 number of samples.
        albedo: (3, N) float32 colour of the texture.
        colour: (3, N) float32.
    """

    values: np.ndarray
    material: np.ndarray
    column: np.ndarray
    samples: np.ndarray
    albedo: np.ndarray
    colour: np.ndarray


@_compiled
def shade_rows(
    triangle: np.ndarray,
    barycentric: np.ndarray,
    triangles: np.ndarray,
    surfaces: np.ndarray,
    vertices: np.ndarray,
    table: np.ndarray,
    atlas: np.ndarray,
    light: np.ndarray,
    lamps: np.ndarray,
    lamp_colours: np.ndarray,
    backdrop: np.ndarray,
    image: np.ndarray,
) -> None:
    """Colours a picture. One row after the other: its points are listed first, then coloured many per instruction.

    Args:
        triangle: (2 H, 2 W) int64 what each sample sees, negative where there is nothing.
        barycentric: (2 H, 2 W, 3) float32.
        triangles: (F, 3) int64.
        surfaces: (F, 2) int64 surface and material.
        vertices: (V, VALUES) float32.
        table: (M, 4) float32 gloss, sharpness, whether strands, glow of each material.
        atlas: (rows, columns, 3) float32.
        light: (10, 3) float32 irradiance, see `Light.polynomial`.
        lamps: (L, 3) float32 directions halfway between lamps and camera.
        lamp_colours: (L, 3) float32.
        backdrop: (H, W, 3) float32.
        image: (H, W, 3) uint8, filled here.
    """
    height, width = image.shape[:2]
    most = SAMPLES * SAMPLES * width
    points = _Points(
        np.empty((VALUES, most), np.float32),
        np.empty((4, most), np.float32),
        np.empty(most, np.int64),
        np.empty(most, np.float32),
        np.empty((3, most), np.float32),
        np.empty((3, most), np.float32),
    )
    line = np.empty((width, 3), np.float32)
    for row in range(height):
        count = _list_points(row, triangle, barycentric, triangles, surfaces, vertices, table, backdrop, points, line)
        _read_textures(count, atlas, points)
        _light(count, light, points)
        _add_highlights(count, lamps, lamp_colours, points)
        for point in range(count):
            column, part = _index(points.column[point]), points.samples[point]
            for k in range(3):
                line[column, k] += part * min(max(points.colour[k, point], np.float32(0)), np.float32(1))
        scale = np.float32(255.0 / (SAMPLES * SAMPLES))
        for column in range(width):
            for k in range(3):
                image[row, column, k] = np.uint8(line[column, k] * scale + np.float32(0.5))


@_compiled
def _list_points(
    row: int,
    triangle: np.ndarray,
    barycentric: np.ndarray,
    triangles: np.ndarray,
    surfaces: np.ndarray,
    vertices: np.ndarray,
    table: np.ndarray,
    backdrop: np.ndarray,
    points: _Points,
    line: np.ndarray,
) -> int:
    """Lists the points of a row and adds what samples see of the backdrop to `line`; how many points there are."""
    count = 0
    seen = np.empty(SAMPLES * SAMPLES, np.int64)
    mean = np.empty(VALUES, np.float32)
    for column in range(line.shape[0]):
        nothing = 0
        for s in range(len(seen)):
            seen[s] = triangle[_index(row * SAMPLES + s // SAMPLES), _index(column * SAMPLES + s % SAMPLES)]
            nothing += seen[s] < 0
        for k in range(3):
            line[_index(column), k] = np.float32(nothing) * backdrop[_index(row), _index(column), k]
        if nothing == len(seen):
            continue
        for s in range(len(seen)):
            if seen[s] < 0:
                continue
            material = _index(surfaces[_index(seen[s]), 1])
            same = _gather(s, seen, row, column, barycentric, triangles, surfaces, vertices, mean)
            place, part = _index(count), np.float32(1) / np.float32(same)
            points.column[place], points.samples[place] = column, same
            for k in range(4):
                points.material[k, place] = table[material, k]
            for k in range(VALUES):
                points.values[k, place] = mean[k] * part
            count += 1
    return count


@_compiled
def _gather(
    first: int,
    seen: np.ndarray,
    row: int,
    column: int,
    barycentric: np.ndarray,
    triangles: np.ndarray,
    surfaces: np.ndarray,
    vertices: np.ndarray,
    values: np.ndarray,
) -> int:
    """Sum of what the samples of one surface carry, into `values`; how many they are. Marks them in `seen`."""
    surface = surfaces[_index(seen[first]), 0]
    values[:] = 0
    same = 0
    for s in range(first, len(seen)):
        face = seen[s]
        if face < 0 or (s > first and surfaces[_index(face), 0] != surface):
            continue
        wa = wb = wc = np.float32(0)
        for t in range(s, len(seen)):  # mostly all samples lie in one triangle: then its values are read once
            if seen[t] == face:
                i, j = _index(row * SAMPLES + t // SAMPLES), _index(column * SAMPLES + t % SAMPLES)
                wa += barycentric[i, j, 0]
                wb += barycentric[i, j, 1]
                wc += barycentric[i, j, 2]
                seen[t] = _DONE
                same += 1
        corners = triangles[_index(face)]
        a, b, c = _index(corners[0]), _index(corners[1]), _index(corners[2])
        for k in range(VALUES):
            values[k] += wa * vertices[a, k] + wb * vertices[b, k] + wc * vertices[c, k]
    return same


@_compiled
def _read_textures(count: int, atlas: np.ndarray, points: _Points) -> None:
    """Reads the atlas between its pixels."""
    one = np.float32(1)
    for point in range(count):
        u, v = points.values[FIRST_TEXTURE, point], points.values[FIRST_TEXTURE + 1, point]
        left, top = min(max(int(u), 0), atlas.shape[1] - 2), min(max(int(v), 0), atlas.shape[0] - 2)
        dx, dy = u - np.float32(left), v - np.float32(top)
        i, j = _index(top), _index(left)
        for k in range(3):
            upper = atlas[i, j, k] * (one - dx) + atlas[i, j + _index(1), k] * dx
            lower = atlas[i + _index(1), j, k] * (one - dx) + atlas[i + _index(1), j + _index(1), k] * dx
            points.albedo[k, point] = upper * (one - dy) + lower * dy


@_compiled
def _light(count: int, light: np.ndarray, points: _Points) -> None:
    """Diffuse colours; makes the normals unit vectors."""
    values = points.values
    for point in range(count):
        x, y, z = values[0, point], values[1, point], values[2, point]
        scale = np.float32(1) / (np.sqrt(x * x + y * y + z * z) + np.float32(1e-9))
        values[0, point], values[1, point], values[2, point] = x * scale, y * scale, z * scale
    for k in range(3):
        flat = light[0, k] + light[3, k] + light[6, k]  # on a surface that looks at the camera
        for point in range(count):
            x, y, z = values[0, point], values[1, point], values[2, point]
            lit = light[0, k] + x * (light[1, k] + light[4, k] * x + light[7, k] * y + light[9, k] * z)
            lit += y * (light[2, k] + light[5, k] * y + light[8, k] * z) + z * (light[3, k] + light[6, k] * z)
            glow = points.material[3, point]
            lit = max((np.float32(1) - glow) * lit + glow * flat, np.float32(0))
            points.colour[k, point] = points.albedo[k, point] * values[FIRST_TINT + k, point] * lit


@_compiled
def _add_highlights(count: int, lamps: np.ndarray, lamp_colours: np.ndarray, points: _Points) -> None:
    """Adds the highlights of all lamps on normals (Blinn) or on strands (Kajiya and Kay)."""
    values, albedo, material = points.values, points.albedo, points.material
    zero, one = np.float32(0), np.float32(1)
    for lamp in range(lamps.shape[0]):
        hx, hy, hz = lamps[lamp, 0], lamps[lamp, 1], lamps[lamp, 2]
        for point in range(count):
            gloss, doublings, strands = material[0, point], material[1, point], material[2, point] > zero
            base = max(values[0, point] * hx + values[1, point] * hy + values[2, point] * hz, zero)
            tx, ty, tz = (
                values[FIRST_TANGENT, point],
                values[FIRST_TANGENT + 1, point],
                values[FIRST_TANGENT + 2, point],
            )
            along = tx * hx + ty * hy + tz * hz
            across = np.sqrt(max(one - along * along / (tx * tx + ty * ty + tz * tz + np.float32(1e-9)), zero))
            facing = np.float32(0.35) + np.float32(0.65) * base if strands else one  # hair lets some light through
            base = across if strands else base
            for doubling in range(_DOUBLINGS):
                base = base * base if np.float32(doubling) < doublings else base
            tint = (
                values[FIRST_TINT, point] + values[FIRST_TINT + 1, point] + values[FIRST_TINT + 2, point]
            ) / np.float32(3)
            bright = (albedo[0, point] + albedo[1, point] + albedo[2, point]) / np.float32(3)
            # Hollows have no highlights, thick strands catch more than the gaps between them.
            strength = gloss * (bright * bright if strands else tint) * base * facing
            for k in range(3):
                points.colour[k, point] += strength * lamp_colours[lamp, k]
