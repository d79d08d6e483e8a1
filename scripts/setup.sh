#!/usr/bin/env bash
# Makes .venv with the pinned dependencies and fetches the face tracker's networks. Repeating it costs a second.
# Settings: PYTHON (interpreter to use; default python3.11, else python3), EXTRAS (default dev).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usable() { command -v "$1" >/dev/null 2>&1 && "$1" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

python="${PYTHON:-}"
if [ -z "$python" ]; then
  for candidate in python3.11 python3 python3.12 python3.13; do
    if usable "$candidate"; then python="$candidate"; break; fi
  done
fi
if [ -z "$python" ] || ! usable "$python"; then
  echo "setup: needs Python 3.11 or newer with venv; none found (set PYTHON=/path/to/python)" >&2
  exit 1
fi

stamp=.venv/.setup
wanted="$(cat setup.cfg pyproject.toml constraints.txt scripts/setup.sh | cksum) ${EXTRAS:-dev}"
if [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$wanted" ] || ! .venv/bin/python -c '' 2>/dev/null; then
  [ -x .venv/bin/python ] && .venv/bin/python -c '' 2>/dev/null || "$python" -m venv --clear .venv
  .venv/bin/python -m pip install --quiet --constraint constraints.txt --editable ".[${EXTRAS:-dev}]"
  echo "$wanted" > "$stamp"
fi
.venv/bin/python -m face.assets > /dev/null  # errors are said on the other stream
