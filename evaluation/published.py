"""What the paper printed (`configs/protocols/published.yaml`), beside ours and never mixed with it."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

FILE = Path(__file__).parents[1] / "configs" / "protocols" / "published.yaml"
SOURCE = "published, not re-run"


@dataclass(frozen=True)
class Published:
    """The numbers of one table of the paper.

    Attributes:
        section: Of the paper.
        n: Answers or pairs behind a number; None where the paper does not say.
        rows: Method or setting -> column -> number.
        said: Row -> words of the paper, where it shows pictures instead of numbers.
    """

    section: str
    n: int | None
    rows: dict[str, dict[str, float]]
    said: dict[str, str]


def published(table: str) -> Published:
    """The paper's numbers of a table.

    Args:
        table: A key of the file that has rows.
    """
    facts = published_facts()[table]
    rows = {name: dict(zip(facts["columns"], values, strict=True)) for name, values in facts["rows"].items()}
    return Published(facts["section"], facts["answers"], rows, facts.get("said", {}))


@cache
def published_facts() -> dict[str, Any]:
    """The whole file."""
    facts = OmegaConf.to_container(OmegaConf.load(FILE))
    assert isinstance(facts, dict)
    return {str(key): value for key, value in facts.items()}
