"""Which triangle each pixel sees, and what it looks like there: one interface, a dictionary of backends."""

from collections.abc import Callable

from face.rasterizers.interface import Rasterizer
from face.rasterizers.numba_backend import NumbaRasterizer
from face.rasterizers.pytorch3d_backend import PyTorch3DRasterizer

RASTERIZERS: dict[str, Callable[[], Rasterizer]] = {"numba": NumbaRasterizer, "pytorch3d": PyTorch3DRasterizer}
