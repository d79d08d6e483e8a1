"""Tables of scores: means, alignment, CSV."""

import csv
import math
from pathlib import Path

import pytest

from evaluation.score_rows import Row, format_table, mean_row, write_csv
from media.errors import InputError


@pytest.fixture
def rows() -> list[Row]:
    return [
        {"name": "a", "frames": 100, "psnr": 31.23456789, "lmd_iod": 0.0123456789},
        {"name": "a longer name", "frames": 51, "psnr": 29.0, "lmd_iod": 0.00000123},
    ]


def test_the_mean_counts_every_clip_once(rows: list[Row]) -> None:
    mean = mean_row(rows, "mean")
    assert list(mean) == list(rows[0])
    assert (mean["name"], mean["frames"]) == ("mean", 75.5)
    assert mean["psnr"] == pytest.approx((31.23456789 + 29.0) / 2)


def test_the_printed_table_is_aligned(rows: list[Row]) -> None:
    assert format_table(rows).splitlines() == [
        "name           frames   psnr   lmd_iod",
        "a                 100  31.23   0.01235",
        "a longer name      51     29  1.23e-06",
    ]
    assert format_table([]) == ""


def test_what_is_missing_is_empty_and_does_not_count(tmp_path: Path) -> None:
    rows = [
        {"name": "a", "av_offset": math.nan, "psnr": math.nan, "run": "r1", "notes": "no sound"},
        {"name": "b", "av_offset": 40.0, "psnr": math.nan, "run": "r1", "notes": ""},
    ]
    mean = mean_row(rows, "mean")
    assert (mean["av_offset"], mean["run"], mean["notes"]) == (40.0, "r1", "")
    assert math.isnan(mean["psnr"])
    write_csv([*rows, mean], tmp_path / "scores.csv")
    assert (tmp_path / "scores.csv").read_text().splitlines()[1:] == ["a,,,r1,no sound", "b,40,,r1,", "mean,40,,r1,"]
    assert format_table(rows[:1]).splitlines()[1].split() == ["a", "r1", "no", "sound"]


def test_a_wide_table_is_printed_in_blocks_without_text(rows: list[Row]) -> None:
    rows = [row | {"run": "r1"} for row in rows]
    assert format_table(rows, width=24).splitlines() == [
        "name           frames",
        "a                 100",
        "a longer name      51",
        "",
        "name            psnr",
        "a              31.23",
        "a longer name     29",
        "",
        "name            lmd_iod",
        "a               0.01235",
        "a longer name  1.23e-06",
    ]


def test_csv_has_six_digits_and_replaces_an_older_file(rows: list[Row], tmp_path: Path) -> None:
    path = tmp_path / "new/scores.csv"
    for _ in range(2):
        write_csv(rows, path)
    assert path.read_text().splitlines()[1:] == ["a,100,31.2346,0.0123457", "a longer name,51,29,1.23e-06"]
    with path.open(newline="") as file:
        assert next(csv.DictReader(file))["psnr"] == "31.2346"
    assert list(path.parent.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_refused(rows: list[Row], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"scores\.csv"):
        write_csv(rows, tmp_path / "file/scores.csv")
