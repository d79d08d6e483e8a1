"""The tables of a study: Table 1, section 4.4 and appendix A of the paper, from the votes."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from evaluation.intervals import Estimate, correlation, mean_score, share
from evaluation.score_rows import write_csv
from evaluation.user_study import published
from evaluation.user_study.head_pose_scores import HeadPoseScores, read_head_pose_scores
from evaluation.user_study.markdown import Row, markdown_report
from evaluation.user_study.questions import COMPARISON, HEAD_POSE, PARTS, SIMILARITY, VIDEO_LENGTH
from evaluation.user_study.study import FOREIGN, HELD_OUT, ORIGINAL, VOTES, Study
from evaluation.user_study.votes import Vote, read_votes
from media.whole_file import whole_file

OURS = "this study"
ALL = "all"


def write_results(folder: Path, scores: Sequence[str] = (), out: Path | None = None) -> str:
    """The tables of a study.

    Args:
        folder: The study.
        scores: Tables of HS, see `read_head_pose_scores`.
        out: Folder for `results.md`, `table1.csv`, `head_pose.csv`, `head_pose_pairs.csv`, `video_length.csv`.

    Returns:
        All tables as Markdown.

    Raises:
        InputError: There is no study or no vote, a table of scores cannot be used, or `out` cannot be written.
    """
    study, votes = Study.read(folder), read_votes(folder / VOTES)
    hs = read_head_pose_scores(scores, _pairs(study)) if scores else {}
    tables = {
        "table1": table1(study, votes),
        "head_pose": head_pose_table(study, votes, hs),
        "head_pose_pairs": head_pose_pairs(study, votes, hs),
        "video_length": video_length_table(study, votes),
    }
    report = markdown_report(tables, _participation(study, votes))
    if out is not None:
        for name, rows in tables.items():
            if rows:
                write_csv(rows, out / f"{name}.csv")
        with whole_file(out / "results.md") as temporary:
            temporary.write_text(report + "\n", encoding="utf-8")
    return report


def table1(study: Study, votes: Sequence[Vote]) -> list[Row]:
    """Share of the answers for every method, question and group, with Wilson's interval.

    Args:
        study: The study.
        votes: Its votes.

    Returns:
        Rows `group` ("all", "held_out", "foreign"), `question`, `method`, `votes`, `n`, `share`, `low`, `high`
        (fractions), `source`; the paper's come after ours of all groups. Empty if the study has no such part.
    """
    trials = {trial.name: trial for trial in study.trials if trial.part == COMPARISON}
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for vote in votes:
        if vote.trial in trials:
            group = vote.trial.split("/")[1]
            for key in (ALL, group):
                counts[key, vote.question][study.videos[vote.answer[0]].shows] += 1
    methods = list(dict.fromkeys(study.videos[name].shows for trial in trials.values() for name in trial.choices))
    groups = [group for group in (HELD_OUT, FOREIGN) if any(name.split("/")[1] == group for name in trials)]
    rows = [
        {"group": group, "question": question.key, "method": method}
        | _share_columns(share(count[method], count.total()), count[method])
        for group in ([ALL, *groups] if trials else [])
        for question in PARTS[COMPARISON].questions
        for count in [counts[group, question.key]]
        for method in methods
    ]
    of_all = len(methods) * len(PARTS[COMPARISON].questions)
    return [*rows[:of_all], *_published_table1(), *rows[of_all:]] if rows else []


def head_pose_table(study: Study, votes: Sequence[Vote], hs: HeadPoseScores) -> list[Row]:
    """How similar people found the head poses, and how that agrees with HS.

    Args:
        study: The study.
        votes: Its votes.
        hs: HS of every pair, as far as known.

    Returns:
        Rows `method` (and "all" if there are several), `n` answers, `score_1` ... `score_5` (counts), `mean`, `low`,
        `high`, `similar` and `dissimilar` (fractions of answers 4, 5 and 1, 2), `hs` (mean), `pairs` (with HS and
        answers), `r`, `r_low`, `r_high` (over pairs: HS and mean answer), `source`; then the paper's.
    """
    answers: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))  # method -> token -> answers
    for vote in votes:
        part, *_, method = vote.trial.split("/", 3)
        if part == HEAD_POSE:
            for key in (method, ALL):
                answers[key][vote.token].append(int(vote.answer[0]))
    pairs = head_pose_pairs(study, votes, hs)
    methods = list(dict.fromkeys(row["method"] for row in pairs))
    rows = []
    for method in [*methods, *([ALL] if len(methods) > 1 else [])]:
        judged = [row for row in pairs if method in (row["method"], ALL) and row["n"] and row["hs"] is not None]
        rows.append(_head_pose_row(method, answers[method], judged))
    return rows + ([_published_head_pose()] if rows else [])


def head_pose_pairs(study: Study, votes: Sequence[Vote], hs: HeadPoseScores) -> list[Row]:
    """Rows `method`, `person`, `n` answers, `mean` (of 1 ... 5; None without answers), `hs` (None where unknown)."""
    answers: dict[tuple[str, str], list[int]] = {pair: [] for pair in _pairs(study)}
    for vote in votes:
        part, _, *pair = vote.trial.split("/", 3)
        if part == HEAD_POSE:
            answers[pair[1], pair[0]].append(int(vote.answer[0]))
    return [
        {
            "method": method,
            "person": person,
            "n": len(given),
            "mean": sum(given) / len(given) if given else None,
            "hs": hs.get((method, person)),
        }
        for (method, person), given in answers.items()
    ]


def video_length_table(study: Study, votes: Sequence[Vote]) -> list[Row]:
    """Share of the answers that name a model among the best, by the frames it was trained with.

    Several may be named, so shares need not add up to one.

    Args:
        study: The study.
        votes: Its votes.

    Returns:
        Rows `frames`, `votes`, `n` (answers), `share`, `low`, `high`, `source`; then the paper's.
    """
    trials = [trial for trial in study.trials if trial.part == VIDEO_LENGTH]
    given = [vote.answer for vote in votes if vote.trial.startswith(f"{VIDEO_LENGTH}/")]
    chosen = Counter(study.videos[name].shows for answer in given for name in answer)
    frames = sorted({int(study.videos[name].shows) for trial in trials for name in trial.choices})
    rows = [{"frames": n} | _share_columns(share(chosen[str(n)], len(given)), chosen[str(n)]) for n in frames]
    theirs = published.VIDEO_LENGTH_ANSWERS
    return rows + [
        {"frames": n} | _published_share(percent, theirs) for n, percent in published.VIDEO_LENGTH.items() if rows
    ]


def _pairs(study: Study) -> list[tuple[str, str]]:
    """Method and person of every pair of part `head_pose`."""
    names = (trial.name.split("/", 3) for trial in study.trials if trial.part == HEAD_POSE)
    return [(method, person) for _, _, person, method in names]


def _head_pose_row(method: str, answers: dict[str, list[int]], judged: Sequence[Row]) -> Row:
    mean = mean_score(answers)
    counts = Counter(score for given in answers.values() for score in given)
    r = correlation([row["hs"] for row in judged], [row["mean"] for row in judged])
    return {
        "method": method,
        "n": mean.n,
        **{f"score_{step}": counts[int(step)] for step in SIMILARITY},
        **{"mean": mean.value, "low": mean.low, "high": mean.high},
        "similar": share(counts[4] + counts[5], mean.n).value,
        "dissimilar": share(counts[1] + counts[2], mean.n).value,
        "hs": sum(row["hs"] for row in judged) / len(judged) if judged else None,
        **{"pairs": len(judged), "r": r.value, "r_low": r.low, "r_high": r.high},
        "source": OURS,
    }


def _share_columns(estimate: Estimate, count: int) -> Row:
    columns = {"share": estimate.value, "low": estimate.low, "high": estimate.high}
    return {"votes": count, "n": estimate.n, **columns, "source": OURS}


def _published_share(percent: float, n: int) -> Row:
    return {"votes": None, "n": n, "share": percent / 100, "low": None, "high": None, "source": published.SOURCE}


def _published_table1() -> list[Row]:
    return [
        {"group": ALL, "question": question.key, "method": method}
        | _published_share(percent[question.key], published.TABLE_1_ANSWERS)
        for question in PARTS[COMPARISON].questions
        for method, percent in published.TABLE_1.items()
    ]


def _published_head_pose() -> Row:
    counts = published.HEAD_POSE_COUNTS
    return {
        "method": published.HEAD_POSE_METHOD,
        "n": sum(counts),
        **{f"score_{step}": count for step, count in zip(SIMILARITY, counts, strict=True)},
        **{"mean": published.HEAD_POSE_MEAN, "low": None, "high": None},
        "similar": published.HEAD_POSE_SIMILAR / 100,
        "dissimilar": published.HEAD_POSE_DISSIMILAR / 100,
        **{"hs": published.HEAD_POSE_HS, "pairs": 15, "r": published.HEAD_POSE_CORRELATION},
        **{"r_low": None, "r_high": None, "source": published.SOURCE},
    }


def _participation(study: Study, votes: Sequence[Vote]) -> list[str]:
    """Who took part, and what a reader has to know about the protocol."""
    pages: dict[str, set[str]] = defaultdict(set)
    for vote in votes:
        pages[vote.token].add(vote.trial)
    finished = sum(len(trials) == len(study.trials) for trials in pages.values())
    lines = [f"Participants: {len(pages)}, of whom {finished} answered all {len(study.trials)} pages."]
    choices = (name for trial in study.trials if trial.part == COMPARISON for name in trial.choices)
    if any(study.videos[name].shows == ORIGINAL for name in choices):
        lines.append("The original could be chosen as the best video; in the paper's Table 1 it could not.")
    return lines
