"""Before anything of the project is imported."""

import os
from pathlib import Path

# numba's cache of compiled loops is not made for two processes that fill it at once
if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    cache = Path(__file__).parents[1] / ".pytest_cache" / f"numba_{worker}"
    os.environ.setdefault("NUMBA_CACHE_DIR", str(cache))
