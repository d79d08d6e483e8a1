"""Settings: composed once from `configs/`, checked, resolved to plain Python and named by a hash.

A run's settings are `configs/default.yaml`, the groups its `defaults:` map chooses
(`configs/<group>/<option>.yaml`), the differences of `configs/experiment/<name>.yaml` and the arguments of the
command line, in this order. Arguments are `experiment=NAME`, `group=option` or `a.b=value`; commas in a value
span a grid. Nothing here imports torch, so a mistyped argument is answered at once.
"""

import difflib
import itertools
import math
import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

from evaluation.run_files import IGNORED, SETTINGS, flatten, load_yaml
from experiments.limits import CHOICES, LIMITS
from face.licensed_files import BASEL, R_NET
from media.digest import sha256, sha256_of_values
from media.errors import InputError

CONFIGS = Path(__file__).parents[1] / "configs"
EMBEDDED = "embedded"  # the value of data.video that stands for the embedded person instead of a file
MISSING = "???"  # OmegaConf's mark for a value that the user has to give
# What the remedy for a missing value shows after the equals sign.
PLACEHOLDERS = {"data.video": "VIDEO", "data.image": "PHOTO", "data.root": "CORPUS", "generate.audio": "SPEECH"}

# Files count by their bytes, so a moved or renamed video is still the same run.
FILES = (
    "data.video",
    "data.image",
    "face.model_file",
    "face.reconstruction_file",
    "face.identity_onnx",
    "memory_gan.spatial_weights",
)
GENERAL = "general"  # as a parent of stage 1: the weights that come with the project
GENERAL_WEIGHTS = Path(__file__).parents[1] / "lightning_modules" / "weights" / "audio2pose.npz"
PARENTS = ("init_from", "init_from_audio2pose", "init_from_memory_gan")  # run folders
SOURCES = {"face.model_file": BASEL, "face.reconstruction_file": R_NET}  # of files that cannot come with the project
INPUT_FILES = (*FILES, "generate.audio")


def compose(arguments: Sequence[str], configs: Path = CONFIGS) -> dict[str, Any]:
    """Compose, check and resolve the settings of one run.

    Args:
        arguments: `key=value` strings; of two for the same key the last counts.
        configs: Folder with `default.yaml`, one folder per group, and `experiment/`.

    Returns:
        Nested plain dictionaries; every value has the type of its default.

    Raises:
        InputError: For an unknown key or option, a missing value, a wrong type or a value outside its limits.
    """
    given = dict(split_argument(argument) for argument in arguments)
    default = load_yaml(configs / "default.yaml")
    groups = default.pop("defaults")
    experiment = given.pop("experiment", default["experiment"])
    difference = load_yaml(configs / "experiment" / f"{_option(configs, 'experiment', experiment)}.yaml")
    groups |= difference.pop("defaults", {})
    groups |= {key: given.pop(key) for key in list(given) if key in groups}
    template = flatten(default | {group: load_yaml(configs / group / f"{_option(configs, group, option)}.yaml")
                                  for group, option in groups.items()})  # fmt: skip
    settings = dict(template) | {"experiment": experiment}
    for key, value in flatten(difference).items():
        _require_known(key, template, groups, f"experiment {experiment}: ")
        settings[key] = value
    for key, text in given.items():
        _require_known(key, template, groups)
        settings[key] = _parse(key, text, template[key])
    settings = flatten(_resolve(nest(settings)))
    return nest({key: _check(key, value, template[key]) for key, value in settings.items()})


def differences(settings: dict[str, Any], configs: Path = CONFIGS) -> dict[str, tuple[Any, Any]]:
    """Where settings differ from the defaults, as `key -> (value, default)`; None as default of a new key."""
    plain = _defaults(configs)
    return {k: (v, plain.get(k)) for k, v in flatten(settings).items() if k != "experiment" and v != plain.get(k)}


def _defaults(configs: Path = CONFIGS) -> dict[str, Any]:
    """All settings of `default.yaml` and its groups, `key -> value`."""
    default = load_yaml(configs / "default.yaml")
    groups = default.pop("defaults")
    return flatten(default | {group: load_yaml(configs / group / f"{option}.yaml") for group, option in groups.items()})


def run_id(settings: dict[str, Any]) -> str:
    """Name of a run: ten hexadecimal digits of the SHA-256 over all settings less `IGNORED`.

    Files enter by the SHA-256 of their bytes and `init_from*` by the name of their run folder, so neither a moved file
    nor another working folder makes another run.

    Raises:
        InputError: If a file among the settings is not there.
    """
    entering = {k: v for k, v in flatten(settings).items() if not any(fnmatch(k, pattern) for pattern in IGNORED)}
    for key in FILES:
        if entering.get(key) and entering[key] != EMBEDDED:
            entering[key] = f"sha256:{sha256(existing_file(key, entering[key]))}"
    for key in PARENTS:
        if entering.get(key) == GENERAL:
            entering[key] = f"sha256:{sha256(GENERAL_WEIGHTS)}"
        elif entering.get(key):
            entering[key] = Path(entering[key]).resolve().name
    return sha256_of_values(entering)[:10]


def expand_grid(arguments: Sequence[str]) -> list[list[str]]:
    """Spell out a grid: `a=1,2 b=x,y` gives four argument lists, the last argument varying fastest."""
    choices = []
    for argument in arguments:
        key, text = split_argument(argument)
        choices.append([f"{key}={part}" for part in split_commas(text)])
    return [list(combination) for combination in itertools.product(*choices)]


def load_settings(folder: Path) -> dict[str, Any]:
    """Read the settings that a run folder was made with; those that came later have their defaults.

    Raises:
        InputError: If there are none.
    """
    path = folder / SETTINGS
    if not path.is_file():
        raise InputError(f"{folder} is not a run folder: it has no {SETTINGS}")
    saved = flatten(load_yaml(path))
    groups = {key.split(".")[0] for key in saved}
    return nest({key: value for key, value in _defaults().items() if key.split(".")[0] in groups} | saved)


def save_settings(settings: dict[str, Any], folder: Path) -> None:
    """Write `settings.yaml` into a run folder."""
    (folder / SETTINGS).write_text(to_yaml(settings))


def to_yaml(settings: dict[str, Any]) -> str:
    """Settings as YAML text."""
    return OmegaConf.to_yaml(OmegaConf.create(settings))


def existing_file(key: str, text: str) -> Path:
    """The file that a setting names.

    Raises:
        InputError: If it is not there, not a file, or empty.
    """
    path = Path(text)
    if not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "does not exist"
        source = f"; {SOURCES[key]}" if key in SOURCES else ""
        raise InputError(f"{key}: {text} {what} (looked in {path.absolute().parent}){source}")
    if path.stat().st_size == 0:
        raise InputError(f"{key}: {text} is empty (0 bytes): copy or download it again")
    return path


def split_argument(argument: str) -> tuple[str, str]:
    """Split `key=value`.

    Raises:
        InputError: If the argument has another form.
    """
    key, equals, text = argument.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z]\w*(\.\w+)*", key):
        raise InputError(f"cannot read {argument!r}: arguments are key=value, e.g. experiment=personal (see --help)")
    return key, text


def nest(flat: dict[str, Any]) -> dict[str, Any]:
    """`{"a.b": 1}` -> `{"a": {"b": 1}}`, the inverse of `flatten`."""
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        *path, name = key.split(".")
        branch = tree
        for part in path:
            branch = branch.setdefault(part, {})
        branch[name] = value
    return tree


def _option(configs: Path, group: str, option: str) -> str:
    options = sorted(path.stem for path in (configs / group).glob("*.yaml"))
    if option not in options:
        raise InputError(f"unknown option {group}={option}; there are: {', '.join(options)}")
    return option


def _require_known(key: str, template: dict[str, Any], groups: Iterable[str], source: str = "") -> None:
    if key in template:
        return
    inside = [name.removeprefix(f"{key}.") for name in template if name.startswith(f"{key}.")]
    if inside:
        block = f"{source}{key} is a block of settings ({', '.join(inside)})"
        raise InputError(f"{block}: set one of them, e.g. {key}.{inside[0]}=VALUE")
    nearest = _nearest(key, [*template, *groups])
    raise InputError(f"{source}unknown setting {key!r}; the nearest valid name is {nearest!r}")


def _nearest(key: str, names: list[str]) -> str:
    """The most similar name; a right last part weighs nearly as much as the whole, for `lr` meant `fit.lr`."""

    def similarity(name: str) -> float:
        ends = key.rpartition(".")[2], name.rpartition(".")[2]
        whole, last = (difflib.SequenceMatcher(None, a, b).ratio() for a, b in ((key, name), ends))
        abbreviated = ends[0] == "".join(word[:1] for word in ends[1].split("_"))  # lr for learning_rate
        return max(whole, 0.95 * last, 0.9 * abbreviated)

    return max(names, key=similarity)


def _parse(key: str, text: str, default: Any) -> Any:
    """Read a command line value: text where the default is text (or may be absent), YAML elsewhere."""
    if default is None or isinstance(default, str):
        text = _unquote(text)
        return None if default is None and text in ("", "null", "None") else text
    try:
        return OmegaConf.to_container(OmegaConf.from_dotlist([f"value={text}"]))["value"]  # type: ignore[index, call-overload]
    except (YAMLError, OmegaConfBaseException) as error:
        raise InputError(f"{key}={text}: cannot read this value; the default is {default}") from error


def _resolve(settings: dict[str, Any]) -> dict[str, Any]:
    try:
        resolved = OmegaConf.to_container(OmegaConf.create(settings), resolve=True)
    except (YAMLError, OmegaConfBaseException) as error:
        raise InputError(f"settings cannot be resolved: {str(error).splitlines()[0]}") from error
    assert isinstance(resolved, dict)
    return {str(key): value for key, value in resolved.items()}


def _check(key: str, value: Any, default: Any) -> Any:
    """Check one value against its default's type, the choices and the limits; integers become floats where due."""
    if value == MISSING or (value == "" and isinstance(default, str)):
        raise InputError(f"{key} has no value: add {key}={PLACEHOLDERS.get(key, 'VALUE')}")
    value = _typed(key, value, default)
    if isinstance(value, str) and key in INPUT_FILES:
        value = str(Path(value).expanduser())  # the shell leaves the ~ of key=~/file alone
    if key in CHOICES and value not in CHOICES[key]:
        raise InputError(f"{key}={value}: must be one of {', '.join(map(str, CHOICES[key]))}")
    for pattern, (condition, text) in LIMITS.items():
        if fnmatch(key, pattern) and value is not None and not condition(value):
            raise InputError(f"{key}={value}: must be {text}")
    return value


def _typed(key: str, value: Any, default: Any) -> Any:
    if default is None and (value is None or isinstance(value, str)):
        return value
    wanted = str if default is None else type(default)
    if wanted is float and type(value) is int:
        value = float(value)  # 12 and 12.0 are the same setting and the same run
    if wanted is float and isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{key}={value}: must be a finite number")
    if type(value) is not wanted:
        names = {int: "a whole number", float: "a number", bool: "true or false", str: "text", list: "a list"}
        example = "" if default is None or default == MISSING else f", like the default {default}"
        raise InputError(f"{key}={value}: must be {names[wanted]}{example}")
    if wanted is list and default:
        return [_typed(f"{key}[{index}]", item, default[0]) for index, item in enumerate(value)]
    return value


def split_commas(text: str) -> list[str]:
    """Split at commas outside brackets and quotes; a file whose name has a comma stays whole.

    Raises:
        InputError: If a value is empty or there twice.
    """
    if "," not in text or Path(text).exists():
        return [text]
    parts = re.findall(r"(?:\[[^\]]*\]|\"[^\"]*\"|'[^']*'|[^,\[\"']|[\[\"'])+", text)
    if len(parts) != len(set(parts)) or text.startswith(",") or text.endswith(",") or ",," in text:
        raise InputError(f"cannot read the list {text!r}: it has an empty or a repeated value")
    return parts


def _unquote(text: str) -> str:
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'" else text
