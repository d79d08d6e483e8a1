"""What a run folder holds, for those who make it and those who read it: names of files, and settings."""

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

from media.errors import InputError

SETTINGS = "settings.yaml"  # what every run folder holds
PROVENANCE = "provenance.json"  # likewise
DONE = "DONE"  # in finished ones: everything but an extra `generate.audio` is there

# Patterns of settings that cannot change a run's result: names, places, speed, when it is given up, and what is made of
# it afterwards.
_PLACES = ("experiment", "runs", "launch.*", "shard", "generate.*", "wandb.*", "data.cache", "data.prepared")
_MACHINE = ("accelerator", "strategy", "devices", "num_nodes", "threads")
IGNORED = (*_PLACES, *(f"trainer.{name}" for name in _MACHINE), "fit.*.workers", "fit.*.collapse.*")


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"a": {"b": 1}}` -> `{"a.b": 1}`."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def load_yaml(path: Path) -> dict[str, Any]:
    """A YAML file that holds a map.

    Raises:
        InputError: If it cannot be read or holds something else.
    """
    try:
        content = OmegaConf.to_container(OmegaConf.load(path))
    except (OSError, YAMLError, OmegaConfBaseException, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as YAML ({str(error).splitlines()[0]})") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: does not hold a map of settings")
    return {str(key): value for key, value in content.items()}
