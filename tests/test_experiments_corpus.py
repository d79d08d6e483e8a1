import builtins
import json
from pathlib import Path

import pytest

from datamodules.manifest import read_manifest
from datamodules.workers import in_this_process
from experiments import corpus
from experiments.run import main
from experiments.settings import compose, run_id
from tests.talking_photos import NAMES, write_corpus


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpora") / "lrw", NAMES[:2])


@pytest.fixture(autouse=True)
def here(monkeypatch):
    """Processes of their own are tested elsewhere, and start slowly."""
    monkeypatch.setitem(corpus.WORKERS, "local", lambda processes: in_this_process)


def refusal(capsys, *arguments: str) -> str:
    assert main(["experiment=prepare_lrw", *arguments]) == 2
    message = capsys.readouterr().err.splitlines()[-1]  # above it a progress bar, if the work had begun
    assert message.startswith("error: ")
    return message


def test_shards_are_prepared_beside_the_corpus(root, capsys):
    assert main(["experiment=prepare_lrw", f"data.root={root}", "shard=1/2"]) == 0
    first = capsys.readouterr().out
    assert "1 of 2 shards are done" in first
    prepared = root.with_name("lrw-prepared")
    assert main(["experiment=prepare_lrw", f"data.root={root}", "shard=1/2,2/2"]) == 0
    output = capsys.readouterr().out
    assert first.splitlines()[0] in output
    assert f"manifest: {prepared / 'manifest.jsonl'}" in output
    assert [entry.name for entry in read_manifest(prepared)] == NAMES[:2]
    settings = json.loads((prepared / "preparation.json").read_text())
    assert (settings["train_seconds"], settings["audio_offset"]) == (None, None)


def test_the_embedded_corpus_has_a_folder_for_each_way_of_preparing(monkeypatch):
    def place(*settings: str) -> Path:
        return corpus.prepared_folder(compose(["experiment=prepare_lrw", "data.root=embedded", *settings]))

    usual = place()
    assert place("seed=3") == usual
    assert place("data.audio_offset=0") != usual
    assert place("data.prepared=elsewhere") == Path("elsewhere")
    monkeypatch.setattr("datamodules.preparation._CORPUS_FORMAT", -1)
    assert place() != usual
    assert place().parent == usual.parent


def test_any_folder_of_clips_and_its_failures(root, tmp_path, capsys):
    (root / "lipread_mp4/broken.mp4").write_bytes(b"nothing")
    arguments = ["data.layout=folder", f"data.root={root}", f"data.prepared={tmp_path}"]
    assert "1 of 3 clips failed (lipread_mp4/broken: " in refusal(capsys, *arguments)
    assert main(["experiment=prepare_lrw", *arguments, "data.largest_failed_share=0.5"]) == 0
    output = capsys.readouterr().out
    assert "2 clips with 16 frames" in output
    assert f"1 clips failed, for the reasons in {tmp_path / 'failures/0001-of-0001.jsonl'}" in output
    assert {entry.speaker for entry in read_manifest(tmp_path)} == {"lipread_mp4"}


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([], "data.root=CORPUS"),
        (["data.root=nowhere"], "nowhere does not exist"),
        (["data.root=.", "shard=5/4"], "shard=5/4: must be NUMBER/COUNT"),
        (["data.root=.", "shard=3"], "e.g. 3/64"),
        (["data.root=.", "data.layout=grid"], "lrw, folder"),
        (["data.root={root}", "data.prepared={file}/prepared"], "data.prepared"),
        (["data.root={root}", "data.largest_failed_share=2"], "from 0 to 1"),
        (["data.root={root}", "face=bfm"], "face.model_file="),
    ],
)
def test_refusals_are_one_line(root, tmp_path, capsys, arguments, part):
    (tmp_path / "file").touch()
    places = {"root": root, "file": tmp_path / "file"}
    assert part in refusal(capsys, *(argument.format(**places) for argument in arguments))


def test_ray_is_asked_for_where_it_is_missing(root, tmp_path, capsys, monkeypatch):
    whole = builtins.__import__

    def without_ray(name, *rest):
        if name == "ray":
            raise ImportError(name)
        return whole(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_ray)
    message = refusal(capsys, f"data.root={root}", f"data.prepared={tmp_path}", "launch=ray")
    assert 'pip install -e ".[ray]"' in message


def test_where_and_by_whom_it_is_prepared_is_no_setting_of_a_run(root):
    settings = ["experiment=prepare_lrw", f"data.root={root}"]
    places = ["shard=2/3", "launch=ray", "launch.processes=3", "data.prepared=elsewhere"]
    assert run_id(compose([*settings, *places])) == run_id(compose(settings))
    assert run_id(compose([*settings, "data.audio_offset=2"])) != run_id(compose(settings))
