"""Table 1 from votes, votes beside the lengths, and methods from folders of videos."""

import shutil
from pathlib import Path

import pytest

from evaluation.published import SOURCE, published, published_facts
from evaluation.score import score_folders
from evaluation.tables.make import Material, make_table
from evaluation.tables.protocol import read_protocol
from evaluation.user_study.study import VOTES, Study, StudyVideo, Trial
from evaluation.user_study.votes import Votes
from media.errors import InputError
from tests.moving_photo import film
from tests.run_folders import write_run

METHODS = ("Zebra", "Quokka")
QUESTIONS = ("image_quality", "lip_sync", "natural")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Four people judged one comparison (three of them chose Zebra) and one set of lengths."""
    shows = (*METHODS, "50", "300", "original")
    videos = {f"{s}-p": StudyVideo(s, "held_out", "p", 1.0, False, "", "") for s in shows}
    trials = (
        Trial("comparison/held_out/p", "comparison", "original-p", tuple(f"{m}-p" for m in METHODS)),
        Trial("video_length/held_out/p", "video_length", "original-p", ("50-p", "300-p")),
    )
    made = Study(tmp_path / "study", videos, trials)
    made.write()
    votes = Votes(tmp_path / "study" / VOTES)
    for k in range(4):
        token = votes.enter()
        chosen = f"{METHODS[k == 3]}-p"
        votes.cast(token, "comparison/held_out/p", dict.fromkeys(QUESTIONS, (chosen,)))
        votes.cast(token, "video_length/held_out/p", {"best": ("300-p",) if k else ("50-p", "300-p")})
    votes.close()
    return tmp_path / "study"


def test_table1_has_our_shares_and_the_papers(study: Path, tmp_path: Path) -> None:
    table = make_table("table1", Material(study=study), tmp_path / "out")
    rows = {(line.name, line.source): line for line in table.lines}
    zebra = rows["Zebra", "ours"]
    assert [zebra.cells[question].value for question in QUESTIONS] == [75.0] * 3
    assert zebra.count == "4 answers"
    assert 19 < zebra.cells["natural"].low < 31  # Wilson's, 3 of 4: 30.1 %
    assert zebra.cells["natural"].high == pytest.approx(95.4, abs=0.1)
    assert {name for name, source in rows if source == SOURCE} == {"DAVS", "You said that", "ATVG", "Ours-P"}
    assert rows["Ours-P", SOURCE].cells["lip_sync"].value == 44.83


def test_votes_stand_beside_the_scores_of_lengths(study: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path, "run", read_protocol("video_length"), row="300 frames")
    table = make_table("video_length", Material([run], study), tmp_path / "out")
    (ours,) = (line for line in table.lines if line.name == "300 frames" and line.source == "ours")
    assert ours.cells["best"].value == 100.0
    assert ours.cells["lmd_iod"].value == 1.0


def test_a_method_is_a_row_from_its_folder(tmp_path: Path) -> None:
    for name in ("a", "b"):
        film(tmp_path / f"real/{name}.mp4", frames=6)
        shutil.copytree(tmp_path / "real", tmp_path / "copy", dirs_exist_ok=True)
    protocol = read_protocol("hs")
    run = write_run(tmp_path, "run", protocol)
    material = Material([run], methods={"Copy": tmp_path / "copy"}, reference=tmp_path / "real")
    table = make_table("hs", material, tmp_path / "out")
    (line,) = (line for line in table.lines if line.name == "Copy")
    scores = score_folders(tmp_path / "real", tmp_path / "copy")
    assert line.count == "2 videos"
    assert "Copy: judged on 6 frames in each of 2 videos." in table.notes
    assert line.cells["hs"].value == 1.0
    for column in protocol.columns:
        assert line.cells[column].value == pytest.approx(sum(row[column] for row in scores.rows) / 2, nan_ok=True)
    again = (tmp_path / "out/Copy.scores.jsonl").read_bytes()
    make_table("hs", material, tmp_path / "out")
    assert (tmp_path / "out/Copy.scores.jsonl").read_bytes() == again  # nothing was scored again
    with pytest.raises(InputError, match="nowhere is no folder"):
        make_table("hs", Material([run], methods={"X": Path("nowhere")}, reference=tmp_path), tmp_path / "out")


def test_faces_that_a_method_lost_are_counted(tmp_path: Path) -> None:
    for name, lost in (("a", 1), ("b", 2)):
        film(tmp_path / f"real/{name}.mp4", frames=8 + lost)
        film(
            tmp_path / f"gaps/{name}.mp4", 8 + lost, change=lambda p, frame, lost=lost: p * (not 3 <= frame < 3 + lost)
        )
    run = write_run(tmp_path, "run", read_protocol("hs"))
    material = Material([run], methods={"Gaps": tmp_path / "gaps"}, reference=tmp_path / "real")
    notes = make_table("hs", material, tmp_path / "out").notes
    assert "Gaps: judged on 9 to 10 frames in each of 2 videos." in notes
    assert "3 frames without a face in Gaps." in notes
    assert "3 frames without a face in Gaps." in (tmp_path / "out/hs.md").read_text()


def test_the_papers_numbers_are_those_of_its_pages() -> None:
    """Typed once more from Table 1, Table 2, 4.4 and appendix A."""
    table2 = {
        "Chen": (29.65, 0.73, 1.73),
        "Wiles": (29.82, 0.75, 1.60),
        "You said that": (29.91, 0.77, 1.63),
        "DAVS": (29.90, 0.73, 1.73),
        "ATVG": (30.91, 0.81, 1.37),
        "Ours-G": (30.94, 0.75, 1.57),
    }
    assert {name: tuple(values.values()) for name, values in published("table2").rows.items()} == table2
    assert sum(values["natural"] for values in published("table1").rows.values()) == pytest.approx(100, abs=0.02)
    assert published("hs").rows == {"Ours-P": {"hs": 0.859}}
    shares = {50: 0, 100: 0, 200: 0, 300: 36.4, 500: 36.4, 800: 63.6}
    lengths = {name: values["best"] for name, values in published("video_length").rows.items()}
    assert lengths == {f"{frames} frames": percent for frames, percent in shares.items()}
    assert published_facts()["head_pose_study"]["hs"] == published("hs").rows["Ours-P"]["hs"]
    assert set(published("ablation").said) < set(read_protocol("ablation").rows)
