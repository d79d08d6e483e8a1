#!/usr/bin/env bash
# Sets everything up, then checks style, types and behaviour. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh
# One test file votes in a browser. It is skipped, and says so, where there is none and none can be installed.
if ! command -v chromium > /dev/null && command -v apt-get > /dev/null && [ "$(id -u)" = 0 ]; then
  export DEBIAN_FRONTEND=noninteractive
  { timeout 300 apt-get update && timeout 300 apt-get install --yes --no-install-recommends chromium; } > /dev/null 2>&1 \
    || echo "test: Chromium could not be installed; the web page is not tested in a browser" >&2
fi
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
# Files of tests are dealt to the cores, four at most, on one thread each: more would wait for one another.
export OMP_NUM_THREADS=1
exec .venv/bin/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder "$@"
