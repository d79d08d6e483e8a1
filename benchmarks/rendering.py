"""Times the renderer on one core: milliseconds of processor time per frame, by stage.

    python benchmarks/rendering.py [--batch 16] [--size 256] [--repeats 20]

The least of several runs, in time of this thread, so that other work on the machine counts as little as possible.
"""

import argparse
import os
import platform
import time
from collections.abc import Callable, Sequence

import torch

from face.coefficients import ANGLES, EXPRESSION, IDENTITY, ILLUMINATION, SIZE, TRANSLATION
from face.lit_vertices import light_face
from face.models.registry import load_face_model
from face.rasterizers import RASTERIZERS
from face.rasterizers.fragments import Surfaces
from face.rendering import Renderer, pose_face


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one line per stage."""
    options = parse(arguments)
    torch.set_num_threads(1)
    model = load_face_model()
    renderer = Renderer(model, size=options.size)
    chi = head_movement(options.batch)
    albedo = model.mean_texture
    rasterizer = RASTERIZERS["numba"]()
    count = len(model.triangles)
    surfaces = Surfaces(model.triangles, torch.zeros(count, dtype=torch.int64), kinds=1)
    projected, colours = light_face(model, renderer.camera, chi, albedo)
    fragments = rasterizer(projected, model.triangles, options.size)
    shown = float((fragments.triangle >= 0).float().mean())
    print(f"torch {torch.__version__}, {processor()}, 1 thread, load {os.getloadavg()[0]:.1f}")
    print(f"{count} triangles, {options.size} px, {shown:.0%} of them covered, batches of {options.batch}")
    stages: dict[str, Callable[[], object]] = {
        "Renderer.render, all of it": lambda: renderer.render(chi, albedo),
        "  shape": lambda: model.shape(chi[:1, IDENTITY], chi[:, EXPRESSION]),
        "  shape, pose, light, projection": lambda: light_face(model, renderer.camera, chi, albedo),
        "  drawing": lambda: rasterizer.draw(projected, colours, surfaces, options.size),
        "    of it coverage": lambda: rasterizer.coverage(projected, surfaces, fragments),
        "fragments": lambda: rasterizer(projected, model.triangles, options.size),
        "pose_face, in loops": lambda: pose_face(model, renderer.camera, chi),
    }
    with torch.no_grad():
        for name, stage in stages.items():
            print(f"{name:34s} {least(stage, options.repeats) / options.batch:7.3f} ms a frame", flush=True)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=256, help="side of the frames, px")
    parser.add_argument("--repeats", type=int, default=20)
    return parser.parse_args(arguments)


def head_movement(frames: int) -> torch.Tensor:
    """Coefficients (frames, 257) of one person who turns up to 20 degrees, under some light."""
    generator = torch.Generator().manual_seed(0)
    chi, time_of = torch.zeros(frames, SIZE), torch.linspace(0, 1, frames)
    chi[:, IDENTITY] = 0.5 * torch.randn(80, generator=generator)
    chi[:, EXPRESSION] = 0.5 * torch.randn(frames, 64, generator=generator)
    chi[:, ILLUMINATION] = 0.1 * torch.randn(27, generator=generator)
    turn = [0.15 * torch.sin(7 * time_of), 0.35 * torch.sin(6 * time_of), 0.1 * torch.cos(5 * time_of)]
    move = [0.1 * torch.sin(9 * time_of), 0.05 * torch.cos(9 * time_of), 0 * time_of]
    chi[:, ANGLES], chi[:, TRANSLATION] = torch.stack(turn, -1), torch.stack(move, -1)
    return chi


def least(run: Callable[[], object], repeats: int) -> float:
    """Least time of some runs after one that does not count, in ms."""
    run()
    times = []
    for _ in range(repeats):
        start = time.thread_time()
        run()
        times.append(time.thread_time() - start)
    return 1000 * min(times)


def processor() -> str:
    """The name of what computes."""
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
