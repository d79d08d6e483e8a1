#!/usr/bin/env bash
# From nothing to a talking person: sets everything up, then runs the embedded demo. Arguments go to the run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh
exec .venv/bin/python -m experiments.run "$@"
