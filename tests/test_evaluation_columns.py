"""The columns are explained in one place, and the docs say the same."""

import re
from pathlib import Path

from evaluation.columns import COLUMNS, markdown_table
from experiments.rows import GENERATED_COLUMNS, REENACTED_COLUMNS

ROOT = Path(__file__).parents[1]


def test_the_docs_hold_the_table_of_columns() -> None:
    text = (ROOT / "docs/metrics.md").read_text()
    table = text.split("<!-- columns -->\n")[1].split("\n<!-- /columns -->")[0]
    assert table == markdown_table()  # python -m evaluation.columns prints it


def test_every_column_that_anything_speaks_of_exists() -> None:
    assert {*REENACTED_COLUMNS, *GENERATED_COLUMNS} <= COLUMNS.keys()
    families = "psnr|ssim|lmd|hs|w1|beat|av|head_motion|velocity|acceleration|mouth|csim|lost"
    names = re.compile(rf"`((?:{families})(?:_[a-z0-9_]+)?)`")
    for page in ("README.md", "docs/metrics.md"):
        for name in names.findall((ROOT / page).read_text()):
            assert name in COLUMNS, f"{page} explains {name}, which is no column"


def test_columns_say_what_they_are() -> None:
    for name, column in COLUMNS.items():
        assert column.title
        assert column.definition.endswith("."), name
        assert "|" not in column.definition + column.unit  # it would break the table
