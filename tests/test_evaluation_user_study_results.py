"""Tables of a study against closed forms, hand counts and the paper's own arithmetic."""

import csv
import doctest
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from evaluation import intervals
from evaluation.intervals import correlation, mean_score, share
from evaluation.user_study import published
from evaluation.user_study.__main__ import main
from evaluation.user_study.head_pose_scores import read_head_pose_scores
from evaluation.user_study.results import head_pose_pairs, head_pose_table, table1, video_length_table, write_results
from evaluation.user_study.study import Study, StudyVideo, Trial
from evaluation.user_study.votes import Vote, Votes
from media.errors import InputError

METHODS = ("Zebra", "Quokka")
PEOPLE = tuple(f"p{k}" for k in range(6))
QUESTIONS = ("image_quality", "lip_sync", "natural")
TOKENS = tuple(f"token{k}" for k in range(20))


def name(shows: str, group: str, person: str) -> str:
    return f"{shows}-{group}-{person}"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study without files: readable names instead of blinded ones, 12 comparisons, 12 pairs, 6 lengths."""
    groups = ("held_out", "foreign")
    sources = ("original", *METHODS, "50", "300")
    keys = [(shows, group, person) for shows in sources for group in groups for person in PEOPLE]
    videos = {name(*key): StudyVideo(*key, 1.0, False, "", "") for key in keys}

    def trial(kind: str, group: str, person: str, shows: tuple[str, ...], tail: str = "") -> Trial:
        choices = tuple(name(source, group, person) for source in shows)
        return Trial(f"{kind}/{group}/{person}{tail}", kind, name("original", group, person), choices)

    trials = [trial("comparison", group, person, METHODS) for group in groups for person in PEOPLE]
    trials += [trial("head_pose", "held_out", person, (m,), f"/{m}") for m in METHODS for person in PEOPLE]
    trials += [trial("video_length", "held_out", person, ("50", "300")) for person in PEOPLE]
    made = Study(tmp_path_factory.mktemp("study"), videos, tuple(trials))
    made.write()
    return made


def comparison_votes(rng: np.random.Generator) -> list[Vote]:
    return [
        Vote(token, f"comparison/{group}/{person}", question, (name(METHODS[rng.random() < 0.3], group, person),))
        for token in TOKENS
        for group in ("held_out", "foreign")
        for person in PEOPLE
        for question in QUESTIONS
    ]


def head_pose_votes(scores: dict[tuple[str, str, str], int]) -> list[Vote]:
    return [
        Vote(token, f"head_pose/held_out/{person}/{method}", "similarity", (str(score),))
        for (token, method, person), score in scores.items()
    ]


def test_doctests() -> None:
    assert doctest.testmod(intervals).failed == 0


@pytest.mark.parametrize(("count", "n"), [(0, 11), (4, 11), (7, 11), (11, 11), (269, 600), (1, 1)])
def test_wilsons_interval_is_its_closed_form(count: int, n: int) -> None:
    z = stats.norm.ppf(0.975)
    p = count / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    estimate = share(count, n)
    assert (estimate.value, estimate.n) == (p, n)
    assert estimate.low == pytest.approx(max(0, middle - half), abs=1e-12)
    assert estimate.high == pytest.approx(min(1, middle + half), abs=1e-12)


def test_fishers_interval_is_its_closed_form() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=15)
    y = 0.65 * x + rng.normal(size=15)
    r = np.corrcoef(x, y)[0, 1]
    z, half = math.atanh(r), stats.norm.ppf(0.975) / math.sqrt(15 - 3)
    estimate = correlation(x.tolist(), y.tolist())
    assert estimate.value == pytest.approx(r, abs=1e-12)
    assert (estimate.low, estimate.high) == pytest.approx((math.tanh(z - half), math.tanh(z + half)), abs=1e-9)
    assert estimate.n == 15


@pytest.mark.parametrize("x", [[], [1.0], [1.0, 2.0], [0.5] * 6])
def test_a_correlation_that_is_not_defined_is_no_number(x: list[float]) -> None:
    assert math.isnan(correlation(x, [float(k) for k in range(len(x))]).value)


def test_the_bootstrap_draws_people_not_scores() -> None:
    """With equal numbers of scores, the standard deviation of the mean is that of the people's means."""
    rng = np.random.default_rng(1)
    people = {f"t{k}": list(3 + rng.normal() + rng.normal(0, 0.1, 15)) for k in range(200)}
    estimate = mean_score(people)
    means = np.array([np.mean(values) for values in people.values()])
    low, high = stats.norm.interval(0.95, means.mean(), means.std() / math.sqrt(len(means)))
    assert estimate.value == pytest.approx(means.mean(), abs=1e-12)
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=0.1 * (high - low))
    assert mean_score(people) == estimate
    assert math.isnan(mean_score({"one": [4.0, 5.0]}).low)
    assert math.isnan(mean_score({}).value)


def test_table1_counts_every_answer_once(study: Study) -> None:
    votes = comparison_votes(np.random.default_rng(2))
    rows = table1(study, votes)
    by_hand = Counter((vote.trial.split("/")[1], vote.question, vote.answer[0].split("-")[0]) for vote in votes)
    ours = {(row["group"], row["question"], row["method"]): row for row in rows if row["source"] == "this study"}
    assert len(ours) == 3 * 3 * 2
    for (group, question, method), row in ours.items():
        groups = ("held_out", "foreign") if group == "all" else (group,)
        count = sum(by_hand[one, question, method] for one in groups)
        n = len(TOKENS) * len(PEOPLE) * len(groups)
        assert (row["votes"], row["n"], row["share"]) == (count, n, count / n)
        assert row["low"] < row["share"] < row["high"]
    for group in ("all", "held_out", "foreign"):
        for question in QUESTIONS:
            assert sum(ours[group, question, method]["share"] for method in METHODS) == pytest.approx(1)


def test_the_papers_shares_are_of_600_answers_to_four_methods() -> None:
    """What the paper does not say: no answer named the original, so it was no choice."""
    for question in QUESTIONS:
        counts = [published.TABLE_1[method][question] * published.TABLE_1_ANSWERS / 100 for method in published.TABLE_1]
        assert all(abs(count - round(count)) < 0.03 for count in counts)
        assert sum(round(count) for count in counts) == published.TABLE_1_ANSWERS


def test_the_papers_mean_follows_from_its_counts() -> None:
    counts = published.HEAD_POSE_COUNTS
    scores = {"all": [score for score, count in enumerate(counts, 1) for _ in range(count)]}
    assert mean_score(scores).value == pytest.approx(published.HEAD_POSE_MEAN, abs=0.005)
    assert 100 * (counts[3] + counts[4]) / sum(counts) == pytest.approx(published.HEAD_POSE_SIMILAR, abs=0.05)
    assert 100 * (counts[0] + counts[1]) / sum(counts) == pytest.approx(published.HEAD_POSE_DISSIMILAR, abs=0.05)
    for percent in published.VIDEO_LENGTH.values():
        count = percent * published.VIDEO_LENGTH_ANSWERS / 100
        assert abs(count - round(count)) < 0.01


def test_head_pose_table_against_numpy(study: Study) -> None:
    rng = np.random.default_rng(3)
    scores = {(t, m, p): int(rng.integers(1, 6)) for t in TOKENS for m in METHODS for p in PEOPLE}
    hs = {(m, p): float(rng.uniform(0.5, 1)) for m in METHODS for p in PEOPLE}
    rows = head_pose_table(study, head_pose_votes(scores), hs)
    assert [row["method"] for row in rows] == [*METHODS, "all", "Ours-P"]
    assert rows[-1]["source"] == "published, not re-run"
    for row in rows[:3]:
        mine = METHODS if row["method"] == "all" else (row["method"],)
        given = np.array([score for (_, method, _), score in scores.items() if method in mine])
        assert [row[f"score_{k}"] for k in range(1, 6)] == [int((given == k).sum()) for k in range(1, 6)]
        assert row["mean"] == pytest.approx(given.mean())
        assert row["low"] < row["mean"] < row["high"]
        assert row["similar"] == pytest.approx((given >= 4).mean())
        assert row["dissimilar"] == pytest.approx((given <= 2).mean())
        pairs = [(m, p) for m in mine for p in PEOPLE]
        means = [np.mean([scores[t, m, p] for t in TOKENS]) for m, p in pairs]
        assert row["r"] == pytest.approx(np.corrcoef([hs[pair] for pair in pairs], means)[0, 1])
        assert row["r_low"] < row["r"] < row["r_high"]
        assert row["hs"] == pytest.approx(np.mean([hs[pair] for pair in pairs]))
        assert row["pairs"] == len(pairs)


def test_pairs_without_answers_or_hs_are_left_out_of_r(study: Study) -> None:
    scores = {(t, "Zebra", p): k % 5 + 1 for t in TOKENS[:2] for k, p in enumerate(PEOPLE[:5])}
    hs = {("Zebra", p): 0.1 * k for k, p in enumerate(PEOPLE[1:], 1)}
    zebra, quokka = head_pose_table(study, head_pose_votes(scores), hs)[:2]
    assert (zebra["pairs"], zebra["r"]) == (4, pytest.approx(1))
    assert (quokka["n"], quokka["pairs"], quokka["hs"]) == (0, 0, None)
    assert math.isnan(quokka["mean"])
    unknown = [row for row in head_pose_pairs(study, head_pose_votes(scores), hs) if row["hs"] is None]
    assert [(row["method"], row["person"]) for row in unknown] == [("Zebra", "p0"), *(("Quokka", p) for p in PEOPLE)]


def test_several_lengths_may_be_best(study: Study) -> None:
    both = tuple(name(n, "held_out", "p0") for n in ("50", "300"))
    votes = [
        Vote(t, "video_length/held_out/p0", "best", both if k < 3 else both[1:]) for k, t in enumerate(TOKENS[:11])
    ]
    rows = video_length_table(study, votes)
    assert [(row["frames"], row["votes"], row["n"]) for row in rows[:2]] == [(50, 3, 11), (300, 11, 11)]
    assert rows[0]["share"] == pytest.approx(3 / 11)
    assert {row["frames"]: row["share"] for row in rows[2:]}[800] == pytest.approx(0.636)


def scores_csv(path: Path, rows: list[str], header: str = "name,frames,hs") -> str:
    path.write_text("\n".join([header, *rows]) + "\n")
    return str(path)


PAIRS = {(m, p) for m in METHODS for p in PEOPLE}


def test_hs_is_found_by_method_and_person(tmp_path: Path) -> None:
    together = scores_csv(
        tmp_path / "all.csv",
        ["Zebra/held_out/p0,10,0.9", "Quokka/p1,10,0.8", "Zebra/foreign/p1,10,0.1", "Zebra/p2,10,nan", "mean,10,0.85"],
    )
    assert read_head_pose_scores([together], PAIRS) == {("Zebra", "p0"): 0.9, ("Quokka", "p1"): 0.8}
    zebra = scores_csv(tmp_path / "zebra.csv", ["held_out/p0,10,0.5", "p1,10,0.6", "truth against truth,10,1"])
    assert read_head_pose_scores([f"Zebra={zebra}"], PAIRS) == {("Zebra", "p0"): 0.5, ("Zebra", "p1"): 0.6}
    only = {("Zebra", p) for p in PEOPLE}
    assert read_head_pose_scores([zebra], only) == {("Zebra", "p0"): 0.5, ("Zebra", "p1"): 0.6}


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        (["p0,1"], "name,psnr", "no columns name and hs"),
        (["Zebra/stranger,1,0.5"], "name,frames,hs", "no row is of a pair"),
        (["Zebra/a/p0,1,0.5", "Zebra/b/p0,1,0.6"], "name,frames,hs", "two rows for Zebra, p0"),
    ],
)
def test_a_table_without_hs_is_refused(tmp_path: Path, rows: list[str], header: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_head_pose_scores([scores_csv(tmp_path / "scores.csv", rows, header)], PAIRS)
    with pytest.raises(InputError, match="cannot be read"):
        read_head_pose_scores([str(tmp_path / "none.csv")], PAIRS)


def test_tables_are_written(study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["results", str(study.folder)]) == 1
    assert "nobody has taken part yet" in capsys.readouterr().err
    store = Votes(study.folder / "votes.sqlite3")
    token = store.enter()
    for trial in study.trials:
        keys = {"comparison": QUESTIONS, "head_pose": ("similarity",), "video_length": ("best",)}[trial.part]
        answer = ("4",) if trial.part == "head_pose" else trial.choices[:1]
        store.cast(token, trial.name, dict.fromkeys(keys, answer))
    store.close()
    hs = scores_csv(tmp_path / "hs.csv", [f"Zebra/{person},25,0.{k + 1}" for k, person in enumerate(PEOPLE)])
    assert main(["results", str(study.folder), "--scores", hs, "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert (tmp_path / "out/results.md").read_text() == printed
    assert "Participants: 1, of whom 1 answered all 30 pages." in printed
    assert "| Zebra | all | 100.00% [75.75%, 100.00%], n = 12 |" in printed
    assert "| Ours-P | all | 88.67%, n = 600 | 44.83%, n = 600 | 83.67%, n = 600 | published, not re-run |" in printed
    assert "| 800 | 63.60% | 11 | published, not re-run |" in printed
    with (tmp_path / "out/table1.csv").open() as file:
        rows = list(csv.DictReader(file))
    zebra = [row for row in rows if (row["group"], row["method"]) == ("foreign", "Zebra")]
    assert [(row["question"], row["votes"], row["n"], row["share"]) for row in zebra] == [
        (question, "6", "6", "1") for question in QUESTIONS
    ]
    with (tmp_path / "out/head_pose_pairs.csv").open() as file:
        pairs = list(csv.DictReader(file))
    assert pairs[1] == {"method": "Zebra", "person": "p1", "n": "1", "mean": "4", "hs": "0.2"}


def test_an_original_among_the_choices_is_a_row_and_said(study: Study) -> None:
    person = PEOPLE[0]
    choices = tuple(name(shows, "held_out", person) for shows in ("original", *METHODS))
    trial = Trial(f"comparison/held_out/{person}", "comparison", None, choices)
    hidden = Study(study.folder, study.videos, (trial,))
    votes = [Vote(t, trial.name, q, choices[:1]) for t in TOKENS for q in QUESTIONS]
    rows = [row for row in table1(hidden, votes) if row["group"] == "all" and row["source"] == "this study"]
    assert [(row["method"], row["share"]) for row in rows if row["question"] == "natural"] == [
        ("original", 1),
        ("Zebra", 0),
        ("Quokka", 0),
    ]


def test_a_report_says_that_the_original_could_be_chosen(tmp_path: Path, study: Study) -> None:
    trial = next(iter(study.trials))
    hidden = Trial(trial.name, trial.part, None, (*trial.choices, trial.original or ""))
    Study(tmp_path, study.videos, (hidden,)).write()
    store = Votes(tmp_path / "votes.sqlite3")
    store.cast(store.enter(), trial.name, dict.fromkeys(QUESTIONS, (trial.original or "",)))
    store.close()
    assert "The original could be chosen as the best video" in write_results(tmp_path)
