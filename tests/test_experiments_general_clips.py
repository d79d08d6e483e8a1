"""Table 2 takes general weights alone; its scores say of which settings they are, and its report shows them."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from experiments import general_clips
from experiments.general_clips import ROWS, general_parents, run_test_clips, score_test_clips, settings_hash
from experiments.settings import compose, save_settings
from media.errors import InputError
from tests.moving_photo import film


def parent_run(folder: Path, *arguments: str) -> Path:
    """A run that has trained the stages its experiment trains, as far as anybody looks before loading weights."""
    settings = compose(list(arguments))
    for stage in settings["fit"]:
        (folder / "checkpoints" / stage).mkdir(parents=True)
        (folder / "checkpoints" / stage / "last.ckpt").touch()
    save_settings(settings, folder)
    return folder


def general_run(folder: Path, stage: str, *arguments: str) -> Path:
    return parent_run(folder, f"experiment={stage}_general", "data.root=corpus", *arguments)


def table2(**parents: Path) -> dict:
    return compose(["experiment=table2", "data.root=corpus", *(f"{key}={run}" for key, run in parents.items())])


def test_general_runs_are_taken(tmp_path: Path) -> None:
    first, second = (general_run(tmp_path / stage, stage) for stage in ("audio2pose", "memory_gan"))
    settings = table2(init_from_audio2pose=first, init_from_memory_gan=second)
    assert general_parents(settings) == {"audio2pose": first, "memory_gan": second}


@pytest.mark.parametrize("stage", ["audio2pose", "memory_gan"])
def test_weights_of_one_person_are_refused(tmp_path: Path, stage: str) -> None:
    personal = parent_run(tmp_path / "personal", "experiment=demo")
    others = {f"init_from_{name}": general_run(tmp_path / name, name) for name in ("audio2pose", "memory_gan")}
    with pytest.raises(InputError) as refusal:
        general_parents(table2(**others | {f"init_from_{stage}": personal}))
    assert str(refusal.value) == (
        f"init_from_{stage}={personal}: has data.kind=personal, and its weights are not general; "
        f"give a finished run of experiment={stage}_general"
    )


def test_a_run_without_the_stage_is_refused(tmp_path: Path) -> None:
    run = general_run(tmp_path / "audio2pose", "audio2pose")
    with pytest.raises(
        InputError, match=r"init_from_memory_gan=.*give a finished run of experiment=memory_gan_general"
    ):
        general_parents(table2(init_from_audio2pose=run, init_from_memory_gan=run))


def test_the_hash_of_settings_leaves_out_the_seed_and_places(tmp_path: Path) -> None:
    same = [
        general_run(tmp_path / "a", "audio2pose", "seed=1"),
        general_run(tmp_path / "b", "audio2pose", "seed=2", "runs=elsewhere", "trainer.threads=1"),
    ]
    other = general_run(tmp_path / "c", "audio2pose", "fit.audio2pose.epochs=3")
    assert len({settings_hash(run) for run in same}) == 1
    assert settings_hash(other) != settings_hash(same[0])


def test_scores_say_of_how_many_clips_and_which_models_they_are(tmp_path: Path) -> None:
    parents = {stage: general_run(tmp_path / stage, stage) for stage in ("audio2pose", "memory_gan")}
    for name in ("one", "two"):
        real = film(tmp_path / f"videos/reference/{name}.mp4", frames=3)
        for row in ROWS:
            (tmp_path / "videos/rows" / row).mkdir(parents=True, exist_ok=True)
            shutil.copy(real, tmp_path / "videos/rows" / row)
    score_test_clips(tmp_path / "videos", tmp_path, parents)
    scored = json.loads((tmp_path / "scored.json").read_text())
    assert scored["clips"] == 2
    assert scored["parents"] == {stage: settings_hash(run) for stage, run in parents.items()}


def test_a_run_ends_with_its_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parents = {stage: general_run(tmp_path / stage, stage) for stage in ("audio2pose", "memory_gan")}
    settings, folder = table2(**{f"init_from_{stage}": run for stage, run in parents.items()}), tmp_path / "run"
    real = film(folder / "videos/reference/WORD/test/one.mp4", frames=3)
    for row in ROWS:
        place = folder / "videos/rows" / row / "WORD/test"
        place.mkdir(parents=True)
        shutil.copy(real, place)
    save_settings(settings, folder)
    monkeypatch.setattr(general_clips, "load_general_models", lambda *_: None)
    monkeypatch.setattr(general_clips, "prepare", lambda _: tmp_path)
    monkeypatch.setattr(general_clips, "read_manifest", lambda _: [SimpleNamespace(name="WORD/test/one", split="test")])
    run_test_clips(settings, folder)
    page = (folder / "report.html").read_text()
    assert "<h1>Test clips of corpus, by general models</h1>" in page
    for part in (*ROWS, "head pose too", "clips.csv", "Frames of the first clip", "data:image/jpeg;base64,"):
        assert part in page, part
    assert 'class="best"' not in page  # its rows know different things
    assert "Commit" not in page
