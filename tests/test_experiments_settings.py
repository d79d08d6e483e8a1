import hashlib
import importlib
import inspect
import itertools
import json
import re
from pathlib import Path

import pytest
import yaml

from evaluation.run_files import flatten
from experiments.limits import CHOICES
from experiments.settings import (
    CONFIGS,
    compose,
    differences,
    existing_file,
    expand_grid,
    load_settings,
    nest,
    run_id,
    save_settings,
)
from lightning_modules.frame_augmentation import FrameAugmentation
from media.errors import InputError

CORPORA = ("prepare_lrw", "audio2pose_general", "memory_gan_general", "table2")
NO_GROUPS = {"experiment", "grid", "protocols"}
GROUPS = sorted(path.name for path in CONFIGS.iterdir() if path.is_dir() and path.name not in NO_GROUPS)
OPTIONS = [(group, path.stem) for group in GROUPS for path in sorted((CONFIGS / group).glob("*.yaml"))]
EXPERIMENTS = sorted(path.stem for path in (CONFIGS / "experiment").glob("*.yaml"))


@pytest.fixture
def configs(tmp_path):
    """A small tree of its own, so that what is tested is composition and not today's values."""
    files = {
        "default.yaml": "defaults: {net: small, data: one}\nexperiment: plain\nseed: 0\nparent: null\nruns: runs\n",
        "net/small.yaml": "width: 8\nlearning_rate: 2.0e-4\nname: small\nbias: true\nsteps: [1, 2]\n",
        "net/large.yaml": "width: 64\nlearning_rate: 1.0e-4\nname: large\nbias: true\nsteps: [1, 2]\n",
        "data/one.yaml": "video: ???\n",
        "experiment/plain.yaml": "{}\n",
        "experiment/wide.yaml": "defaults: {net: large}\nnet: {width: 128}\nseed: 7\n",
        "experiment/broken.yaml": "net: {widht: 1}\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def refusal(*arguments, configs=CONFIGS):
    with pytest.raises(InputError) as caught:
        compose(list(arguments), configs)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_order_is_default_group_experiment_command_line(configs):
    video = "data.video=v.mp4"
    assert compose([video], configs)["net"]["width"] == 8
    assert compose([video, "net=large"], configs)["net"]["width"] == 64
    wide = compose([video, "experiment=wide"], configs)
    assert (wide["net"]["width"], wide["net"]["name"], wide["seed"]) == (128, "large", 7)
    assert compose([video, "experiment=wide", "net.width=2"], configs)["net"]["width"] == 2
    # an option chosen by hand replaces the experiment's choice; what the experiment changes itself stays
    chosen = compose([video, "experiment=wide", "net=small"], configs)["net"]
    assert (chosen["name"], chosen["width"]) == ("small", 128)


def test_values_keep_the_type_of_their_default(configs):
    net = compose(["data.video=12", "net.learning_rate=1", "net.steps=[4,5,6]", "net.bias=false"], configs)
    assert net["data"]["video"] == "12"  # a file may be called 12
    assert net["net"]["learning_rate"] == 1.0
    assert isinstance(net["net"]["learning_rate"], float)
    assert net["net"]["steps"] == [4, 5, 6]
    assert net["net"]["bias"] is False
    assert compose(["data.video=v", "net.learning_rate=3e-4"], configs)["net"]["learning_rate"] == 3e-4
    assert compose(["data.video=v", "parent=some/run"], configs)["parent"] == "some/run"
    assert compose(["data.video=v", "parent=null"], configs)["parent"] is None
    assert type(net) is type(net["net"]) is dict


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["net.widht=3"], ["'net.widht'", "'net.width'"]),
        (["width=3"], ["'width'", "'net.width'"]),
        (["lr=3"], ["'lr'", "'net.learning_rate'"]),
        (["ned=large"], ["'ned'", "'net'"]),
        (["net=huge"], ["net=huge", "large, small"]),
        (["experiment=nope"], ["experiment=nope", "broken, plain, wide"]),
        (["experiment=broken"], ["experiment broken", "'net.widht'", "'net.width'"]),
        (["net.width=a"], ["net.width=a", "whole number", "8"]),
        (["net.width=1.5"], ["net.width=1.5", "whole number"]),
        (["net.width=true"], ["net.width=True", "whole number"]),
        (["net.learning_rate=abc"], ["net.learning_rate=abc", "a number"]),
        (["net.learning_rate=.inf"], ["net.learning_rate=inf", "finite"]),
        (["net.learning_rate=-1"], ["net.learning_rate=-1", "above 0"]),
        (["net.steps=[1,x]"], ["net.steps[1]=x", "whole number"]),
        (["net.bias=2"], ["net.bias=2", "true or false"]),
        (["net.width.x=2"], ["'net.width.x'", "'net.width'"]),
        (["--net.width=2"], ["'--net.width=2'", "key=value"]),
        (["net"], ["'net'", "key=value"]),
        (["net.width=[1"], ["net.width=[1"]),
        (["seed=${nowhere}"], ["nowhere"]),
        (["data.video="], ["data.video has no value", "data.video=VIDEO"]),
    ],
)
def test_refusals_name_the_setting_and_the_remedy(configs, arguments, parts):
    message = refusal("data.video=v.mp4", *arguments, configs=configs)
    for part in parts:
        assert part in message, message


def test_missing_value_says_how_to_give_it():
    message = refusal("experiment=personal")
    assert message == "data.video has no value: add data.video=VIDEO"


def test_a_block_is_not_a_value():
    assert "fit.audio2pose.epochs=" in refusal("fit.audio2pose=3")


@pytest.mark.parametrize(
    "argument",
    [
        "data.train_seconds=-1",
        "data.audio_offset=400",
        "data.audio_offset=+-5",
        "seed=-1",
        "fit.memory_gan.epochs=0",
        "face.rasterizer=opengl",
    ],
)
def test_limits(argument):
    assert argument.partition("=")[0] in refusal(argument)


@pytest.mark.parametrize(("name", "highest"), [("shift", 0.25), ("rotation", 45.0), ("scale", 0.5)])
def test_limits_of_moved_frames_are_those_of_their_class(name, highest):
    setting = f"memory_gan.augmentation.{name}"
    FrameAugmentation(**{name: highest})
    compose([f"{setting}={highest}"])
    with pytest.raises(ValueError, match=name):
        FrameAugmentation(**{name: 1.01 * highest})
    assert setting in refusal(f"{setting}={1.01 * highest}")


def test_grid_is_a_product():
    grid = expand_grid(["a=1,2", "b=x", "c=[1,2],[3]", "d='p,q',r"])
    assert len(grid) == 8
    assert grid[0] == ["a=1", "b=x", "c=[1,2]", "d='p,q'"]
    assert grid[-1] == ["a=2", "b=x", "c=[3]", "d=r"]
    with pytest.raises(InputError, match="empty or a repeated"):
        expand_grid(["a=1,1"])
    with pytest.raises(InputError, match="empty or a repeated"):
        expand_grid(["a=1,"])


def test_a_file_with_a_comma_is_one_value(tmp_path):
    video = tmp_path / "Doe, Jane.mp4"
    video.touch()
    assert expand_grid([f"data.video={video}"]) == [[f"data.video={video}"]]


def test_run_id_depends_on_what_can_change_a_result(tmp_path):
    base = run_id(compose([]))
    assert re.fullmatch("[0-9a-f]{10}", base)
    same = ["runs=elsewhere", "wandb.mode=disabled", "generate.audio=x.wav", "trainer.threads=2", "trainer.devices=2"]
    same += [f"data.cache={tmp_path}", "launch.parallel=2", "data.train_seconds=12"]
    for argument in same:
        assert run_id(compose([argument])) == base, argument
    other = [
        "seed=1",
        "background=roll",
        "data.train_seconds=10",
        "fit.memory_gan.epochs=3",
        "trainer.precision=32-true",
    ]
    assert len({run_id(compose([argument])) for argument in other} | {base}) == len(other) + 1


def test_run_id_follows_the_bytes_of_the_video(tmp_path):
    first, copy, other = (tmp_path / name for name in ("a.mp4", "b.mp4", "c.mp4"))
    first.write_bytes(b"one"), copy.write_bytes(b"one"), other.write_bytes(b"two")
    names = [run_id(compose(["experiment=personal", f"data.video={path}"])) for path in (first, copy, other)]
    assert names[0] == names[1] != names[2]


def test_run_id_is_a_hash_of_the_resolved_settings():
    """Written down independently, so that a change of ids cannot go unseen."""
    settings = flatten(compose([]))
    ignored = r"(experiment|runs|shard|data\.cache|(launch|generate|wandb)\..*|fit\.\w+\.collapse\.\w+|"
    ignored += r"trainer\.(accelerator|strategy|num_nodes|devices|threads))"
    kept = {key: value for key, value in settings.items() if not re.fullmatch(ignored, key)}
    text = json.dumps(kept, sort_keys=True)
    assert run_id(compose([])) == hashlib.sha256(text.encode()).hexdigest()[:10]


def test_parent_enters_by_its_name(tmp_path, monkeypatch):
    (tmp_path / "runs" / "0123456789").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    relative, absolute = "runs/0123456789", tmp_path / "runs" / "0123456789"
    assert (
        run_id(compose([f"init_from={relative}"])) == run_id(compose([f"init_from={absolute}"])) != run_id(compose([]))
    )


def test_workers_and_processes_are_no_other_run():
    general = ["experiment=audio2pose_general", "data.root=CORPUS"]
    faster = ["trainer=ddp", "trainer.devices=8", "trainer.num_nodes=2", "fit.audio2pose.workers=0"]
    assert run_id(compose(general)) == run_id(compose([*general, *faster]))
    assert run_id(compose(general)) != run_id(compose([*general, "fit.audio2pose.samples_per_epoch=9"]))


def test_differences_are_against_the_defaults():
    assert differences(compose(["seed=3", "background=roll"])) .items() >= {
        "seed": (3, 0),
        "background.matching": ("key_frames", "path"),
    }.items()  # fmt: skip


@pytest.mark.parametrize("key", ["face.model_file", "face.reconstruction_file"])
def test_files_of_the_face_enter_by_their_bytes(key, tmp_path):
    paths = [tmp_path / name for name in ("a.mat", "b.mat", "c.mat")]
    for path, content in zip(paths, (b"one", b"one", b"other"), strict=True):
        path.write_bytes(content)
    first, same, other = (run_id(compose(["face=bfm", f"{key}={path}"])) for path in paths)
    assert first == same != other
    with pytest.raises(InputError, match=rf"{key}: .*nowhere.*does not exist.*; (apply|get)"):
        run_id(compose(["face=bfm", f"{key}={tmp_path / 'nowhere'}"]))


def test_the_basel_face_is_coloured_as_in_the_paper():
    assert compose(["face=bfm"])["face"]["albedo"] == "low_frequency"
    assert compose([])["face"]["albedo"] == "mean"
    assert compose(["face=bfm"])["face"].keys() == compose([])["face"].keys()


def test_files_are_checked(tmp_path):
    (tmp_path / "empty.mp4").touch()
    for path, part in [("nowhere.mp4", "does not exist"), (tmp_path, "folder"), (tmp_path / "empty.mp4", "empty")]:
        with pytest.raises(InputError, match=part):
            existing_file("data.video", str(path))


def test_settings_survive_their_file(tmp_path):
    settings = compose(["generate.audio=a: b #c.wav", "fit.memory_gan.epochs=3"])
    save_settings(settings, tmp_path)
    assert load_settings(tmp_path) == settings
    with pytest.raises(InputError, match="not a run folder"):
        load_settings(tmp_path / "nowhere")


def test_a_setting_that_came_after_a_run_has_its_default_there(tmp_path):
    settings = compose(["face.albedo=detailed"])
    del settings["face"]["model_file"]
    save_settings(settings, tmp_path)
    assert load_settings(tmp_path) == compose(["face.albedo=detailed"])


def test_nest_inverts_flatten():
    tree = {"a": {"b": 1, "c": {"d": [2]}}, "e": None}
    assert nest(flatten(tree)) == tree


# --- the files of configs/ -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_composes(group, option):
    given = {
        ("data", "photo"): ["experiment=photo", "data.image=PHOTO"],
        ("data", "corpus"): ["experiment=audio2pose_general", "data.root=CORPUS"],
        ("data", "test_clips"): ["experiment=table2", "data.root=CORPUS"],
    }.get((group, option), ["data.video=embedded"])
    compose([f"{group}={option}", *given, "generate.audio=SPEECH"])


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_composes(experiment):
    given = {"photo": ["data.image=PHOTO", "generate.audio=SPEECH"]}
    given |= {key: ["data.root=CORPUS"] for key in CORPORA}
    settings = compose([f"experiment={experiment}", *given.get(experiment, ["data.video=embedded"])])
    assert settings["experiment"] == experiment


def test_options_of_a_group_have_the_same_settings():
    for group, options in itertools.groupby(OPTIONS, key=lambda pair: pair[0]):
        if group in ("data", "fit"):  # kinds of input: a video, a photo; which stages are trained on it
            continue
        keys = {option: set(flatten(yaml.safe_load((CONFIGS / group / f"{option}.yaml").read_text()) or {}))
                for _, option in options}  # fmt: skip
        assert len(set(map(frozenset, keys.values()))) == 1, keys


def test_numbers_say_where_they_come_from():
    """Every number of the groups that hold a method's values has a comment on its line."""
    paths = [
        path for group in ("audio2pose", "memory_gan", "fit", "background") for path in (CONFIGS / group).iterdir()
    ]
    lines = [f"{path.name}: {line.strip()}" for path in paths for line in path.read_text().splitlines()]
    bare = [line for line in lines if re.match(r"[\w.]+: \w+:\s*[-\d\[]", line) and "#" not in line]
    assert not bare


@pytest.mark.parametrize(
    ("group", "module", "name", "from_data"),
    [
        (
            "audio2pose",
            "lightning_modules.audio2pose",
            "Audio2PoseLSTM",
            {
                "expression_scale",
                "expression_mean",
                "pose_scale",
                "pose_mean",
                "mouth_opening",
                "mfcc_mean",
                "mfcc_std",
            },
        ),
        ("memory_gan", "lightning_modules.memory_gan", "MemoryGAN", {"seed"}),
    ],
)
def test_settings_of_a_module_are_its_keywords(group, module, name, from_data):
    keywords = set(inspect.signature(getattr(importlib.import_module(module), name).__init__).parameters)
    for path in (CONFIGS / group).glob("*.yaml"):
        assert set(yaml.safe_load(path.read_text())) == keywords - from_data - {"self"}, path.name


@pytest.mark.parametrize(
    ("key", "module", "name"),
    [
        ("data.layout", "experiments.corpus", "ROOT_LAYOUTS"),
        ("launch.workers", "experiments.corpus", "WORKERS"),
        ("face.model", "face.models.registry", "FACE_MODELS"),
        ("face.reconstruction", "face.reconstructors.registry", "RECONSTRUCTIONS"),
        ("face.rasterizer", "face.rasterizers", "RASTERIZERS"),
        ("face.albedo", "face.albedo", "ALBEDOS"),
        ("face.identity_encoder", "face.identity", "IDENTITY_ENCODERS"),
        ("audio2pose.encoder", "lightning_modules.networks.audio_encoder", "AUDIO_ENCODERS"),
        ("audio2pose.normalisation", "lightning_modules.networks.audio_encoder", "NORMALISATIONS"),
        ("memory_gan.spatial_encoder", "lightning_modules.networks.spatial_encoder", "SPATIAL_ENCODERS"),
    ],
)
def test_choices_are_the_keys_of_the_dictionaries(key, module, name):
    assert set(CHOICES[key]) == set(getattr(importlib.import_module(module), name))


def test_fit_has_the_stages_of_the_modules():
    settings = compose([])
    assert set(settings["fit"]) == {"audio2pose", "memory_gan"} <= set(settings)


def test_configs_are_where_the_readme_says():
    assert Path(__file__).parents[1] / "configs" == CONFIGS
