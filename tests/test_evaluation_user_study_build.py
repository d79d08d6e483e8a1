"""A study from folders: complete or refused, blinded, playable, and the same order whenever a participant returns."""

import hashlib
import json
import shutil
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest

from evaluation.user_study.__main__ import main
from evaluation.user_study.browser_video import write_for_browsers
from evaluation.user_study.build import build_study
from evaluation.user_study.study import Study, participant_trials
from media.audio import read_audio
from media.errors import InputError
from media.video import VideoWriter, probe, read_frames
from tests.study_material import LENGTHS, METHODS, PEOPLE, material, plan, small_study, talking_square


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return small_study(tmp_path_factory.mktemp("study"))


@pytest.fixture
def folders(tmp_path: Path, study: Study) -> Path:
    """A copy of the material that a test may damage."""
    source = study.folder.parent
    shutil.copytree(source, tmp_path / "material", ignore=shutil.ignore_patterns("study"))
    return tmp_path / "material"


def shown(study: Study, trial) -> list[str]:
    return [study.videos[name].shows for name in trial.choices]


def test_every_group_of_the_paper_is_a_page(study: Study) -> None:
    comparisons = [trial for trial in study.trials if trial.part == "comparison"]
    assert {trial.name for trial in comparisons} == {
        f"comparison/{group}/{person}" for group in ("held_out", "foreign") for person in PEOPLE
    }
    assert all(sorted(shown(study, trial)) == sorted(METHODS) for trial in comparisons)
    assert all(study.videos[trial.original].shows == "original" for trial in study.trials)
    # the reference has no foreign speech: its held-out video stands there, and the page will say so
    assert {trial.name.split("/")[1] for trial in comparisons if trial.other_speech} == {"foreign"}
    pairs = {trial.name for trial in study.trials if trial.part == "head_pose"}
    assert pairs == {f"head_pose/held_out/{person}/{method}" for person in PEOPLE for method in METHODS}
    lengths = [trial for trial in study.trials if trial.part == "video_length"]
    assert [shown(study, trial) for trial in lengths] == [[str(frames) for frames in LENGTHS]] * 2


def test_the_manifest_names_what_lies_in_the_folder(study: Study) -> None:
    files = {path.stem: path for path in (study.folder / "videos").iterdir()}
    assert files.keys() == study.videos.keys()
    for name, video in study.videos.items():
        assert hashlib.sha256(files[name].read_bytes()).hexdigest() == video.sha256
        assert video.seconds == pytest.approx(0.4, abs=0.001)
    source = study.folder.parent / "Zebra/foreign/leopold.mp4"
    key = ("Zebra", "foreign", "leopold")
    (video,) = [video for video in study.videos.values() if (video.shows, video.group, video.person) == key]
    assert video.source_sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
    assert Study.read(study.folder) == study


def test_each_video_is_what_its_name_stands_for(study: Study) -> None:
    for name, video in study.videos.items():
        folder = {"original": "real/held_out"}.get(video.shows, f"{video.shows}/{video.group}")
        folder = video.shows if video.shows.isdigit() else folder
        source = study.folder.parent / folder / f"{video.person}.mp4"
        np.testing.assert_array_equal(read_frames(study.video_file(name)), read_frames(source))


def test_no_file_name_tells_the_method(study: Study) -> None:
    words = {*METHODS, *PEOPLE, "original", "held", "foreign", "real", *(str(n) for n in LENGTHS)}
    for path in (study.folder / "videos").iterdir():
        assert len(path.stem) == 24
        assert not {word for word in words if word.lower() in path.stem and not word.isdigit()}
    # as many names as videos and uses of the originals: nothing is derived from content or order
    other = build_study(study.folder.parent / "again", plan(study.folder.parent), say=lambda line: None)
    assert not other.videos.keys() & study.videos.keys()


def test_a_participant_finds_every_page_where_it_was(study: Study) -> None:
    first, again, other = (participant_trials(study, token) for token in ("token-a", "token-a", "token-b"))
    assert first == again
    assert first != other
    assert sorted(trial.name for trial in first) == sorted(trial.name for trial in study.trials)
    assert [trial.part for trial in first] == ["comparison"] * 4 + ["head_pose"] * 6 + ["video_length"] * 2


def test_every_method_is_as_often_first(study: Study) -> None:
    orders = Counter(tuple(shown(study, trial)) for k in range(300) for trial in participant_trials(study, f"t{k}")[:4])
    assert len(orders) == 6
    # 1200 draws of 6 orders: 200 each, standard deviation 13
    assert max(abs(count - 200) for count in orders.values()) < 4 * 13


def test_a_hidden_original_is_a_choice_and_known_from_nowhere(tmp_path: Path) -> None:
    folder = material(tmp_path)
    for person in PEOPLE:
        talking_square(folder / f"real/foreign/{person}.mp4")
    study = build_study(tmp_path / "study", plan(folder, blind_original=True), say=lambda line: None)
    comparisons = [trial for trial in study.trials if trial.part == "comparison"]
    assert all(trial.original is None and "original" in shown(study, trial) for trial in comparisons)
    hidden = {name for trial in comparisons for name in trial.choices}
    marked = {trial.original for trial in study.trials if trial.original}
    assert marked
    assert not hidden & marked


def test_a_missing_video_is_one_clear_line(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folders / "Quokka/foreign/leopold.mp4").unlink()
    study = folders / "study"
    methods = [f"--method={method}={folders / method}" for method in METHODS]
    assert main(["build", str(study), f"--reference={folders / 'real'}", *methods]) == 1
    error = capsys.readouterr().err
    assert error == "Quokka: has no video foreign/leopold, which Zebra has; add it or take that away.\n"
    assert not study.exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "real/held_out/leopold.mp4").unlink(), "the reference has no video of leopold"),
        (lambda f: shutil.copy(f / "50/leopold.mp4", f / "Zebra/leopold.mp4"), "videos beside held_out and foreign"),
        (lambda f: (f / "Zebra/held_out/leopold.mkv").touch(), "two videos of leopold"),
        (lambda f: (f / "Okapi/foreign/leopold.mp4").write_bytes(b"no video"), "is broken"),
        (lambda f: shutil.rmtree(f / "Okapi"), "no such folder"),
        (lambda f: (f / "study").mkdir() or (f / "study/votes.sqlite3").touch(), "choose a new folder"),
    ],
)
def test_bad_material_is_refused(folders: Path, damage, message: str) -> None:
    damage(folders)
    with pytest.raises(InputError, match=message):
        build_study(folders / "study", plan(folders), say=lambda line: None)
    assert not (folders / "study/manifest.json").exists()
    assert not (folders / "study/videos").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": {}, "lengths": {}}, "nothing to ask"),
        ({"blind_original": True}, "has no video foreign/leopold"),
        ({"head_pose": ["Yak"]}, "none of the methods"),
        ({"methods": {"original": Path("x")}}, "this name cannot be used"),
    ],
)
def test_bad_plans_are_refused(folders: Path, changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_study(folders / "study", plan(folders, **changes), say=lambda line: None)


@pytest.mark.parametrize("value", ["Zebra", "=folder", "Zebra="])
def test_a_method_needs_name_and_folder(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "study", "--reference=real", "--method", value]) == 1
    assert capsys.readouterr().err == f"--method {value}: expected NAME=FOLDER.\n"


def test_differences_of_videos_are_said(folders: Path) -> None:
    talking_square(folders / "Okapi/held_out/leopold.mp4", 3, frames=15, sound=False)
    said: list[str] = []
    build_study(folders / "study", plan(folders, parts=["comparison"]), said.append)
    assert said == [
        f"{folders}/Okapi/held_out/leopold.mp4: has no sound",
        "comparison/held_out/leopold: the videos differ in length (Zebra 0.40 s, Quokka 0.40 s, Okapi 0.60 s)",
    ]


def test_words_inside_a_video_do_not_come_along(tmp_path: Path) -> None:
    source = talking_square(tmp_path / "plain.mp4")
    tagged = tmp_path / "tagged.mp4"
    with av.open(str(source)) as container, av.open(str(tagged), "w") as output:
        output.metadata["title"] = output.metadata["comment"] = "made by Zebra"
        copies = {s.index: output.add_stream_from_template(s) for s in container.streams}
        for copy in copies.values():
            copy.metadata["handler_name"] = "Zebra"
        for packet in container.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream.index]
                output.mux(packet)
    assert b"Zebra" in tagged.read_bytes()
    assert write_for_browsers(tagged, tmp_path / "clean.mp4") is False
    clean = (tmp_path / "clean.mp4").read_bytes()
    assert b"Zebra" not in clean
    assert clean.index(b"moov") < clean.index(b"mdat")  # plays before it is loaded
    np.testing.assert_array_equal(read_frames(tmp_path / "clean.mp4"), read_frames(tagged))
    np.testing.assert_array_equal(read_audio(tmp_path / "clean.mp4"), read_audio(tagged))


def test_what_browsers_cannot_play_is_coded_again(tmp_path: Path) -> None:
    source = tmp_path / "odd.mkv"  # H.264 in RGB, odd sides, FLAC-free: no sound
    pictures = np.tile(np.linspace(0, 255, 65, dtype=np.uint8)[None, :, None], (63, 1, 3))
    with VideoWriter(source, 65, 63, lossless=True) as writer:
        for _ in range(5):
            writer.write(pictures)
    assert write_for_browsers(source, tmp_path / "new.mp4") is True
    info = probe(tmp_path / "new.mp4")
    assert (info.codec, info.width, info.height, info.frames, info.has_audio) == ("h264", 66, 64, 5, False)
    with av.open(str(tmp_path / "new.mp4")) as container:
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"
    assert np.abs(read_frames(tmp_path / "new.mp4")[:, :63, :65].astype(int) - pictures).mean() < 2


def test_the_command_builds_what_the_function_builds(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [f"--method={method}={folders / method}" for method in METHODS]
    arguments += [f"--length={frames}={folders / str(frames)}" for frames in LENGTHS]
    (folders / "words.txt").write_text("Welcome <b>all</b>", encoding="utf-8")
    arguments += ["--head-pose", "Okapi", "--introduction", str(folders / "words.txt")]
    assert main(["build", str(folders / "study"), f"--reference={folders / 'real'}", *arguments]) == 0
    assert "8 pages (comparison 4, head_pose 2, video_length 2)" in capsys.readouterr().out
    content = json.loads((folders / "study/manifest.json").read_text(encoding="utf-8"))
    assert content["introduction"] == "Welcome <b>all</b>"
    assert [trial["name"] for trial in content["trials"] if trial["part"] == "head_pose"] == [
        "head_pose/held_out/leopold/Okapi",
        "head_pose/held_out/marguerite/Okapi",
    ]
