"""From the bytes of a form to answers: everything that is not an answer to this page is refused."""

from collections.abc import Mapping
from urllib.parse import parse_qs

from evaluation.user_study.questions import PARTS, SIMILARITY, Question
from evaluation.user_study.study import Trial

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MOST_BYTES = 4096  # ours: the largest form has 26 answers of 24 characters

Answers = dict[str, tuple[str, ...]]  # question -> names of videos, or one step of the scale


class MalformedBallotError(ValueError):
    """A form that no page of ours can send."""


class IncompleteBallotError(ValueError):
    """A form with a question left open.

    Attributes:
        answers: What was answered.
        missing: Keys of the open questions.
    """

    def __init__(self, answers: Answers, missing: list[str]):
        super().__init__(f"no answer to {', '.join(missing)}")
        self.answers, self.missing = answers, missing


def parse_ballot(body: bytes, trial: Trial) -> Answers:
    """Read the answers to all questions of a page.

    Args:
        body: An application/x-www-form-urlencoded form.
        trial: What the page shows.

    Returns:
        An answer to every question.

    Raises:
        MalformedBallotError: The form is too large, broken, or has fields or answers the page does not offer.
        IncompleteBallotError: A question is not answered.
    """
    if len(body) > MOST_BYTES:
        raise MalformedBallotError(f"longer than {MOST_BYTES} bytes")
    try:
        fields = parse_qs(body.decode("ascii"), strict_parsing=bool(body), errors="strict", keep_blank_values=True)
    except ValueError as error:
        raise MalformedBallotError(f"no form: {error}") from None
    questions = {question.key: question for question in PARTS[trial.part].questions}
    if not fields.keys() <= questions.keys():
        raise MalformedBallotError("a field that is no question of this page")
    answers = {key: _checked(questions[key], values, trial) for key, values in fields.items()}
    missing = [key for key in questions if key not in answers]
    if missing:
        raise IncompleteBallotError(answers, missing)
    return answers


def options(question: Question, trial: Trial) -> Mapping[str, str]:
    """What may be answered: the value in forms and votes -> what people read."""
    if question.kind == "scale":
        return SIMILARITY
    return dict(zip(trial.choices, LETTERS, strict=False))


def _checked(question: Question, values: list[str], trial: Trial) -> tuple[str, ...]:
    allowed = options(question, trial)
    if any(value not in allowed for value in values) or len(set(values)) != len(values):
        raise MalformedBallotError(f"an answer to {question.key} that the page does not offer")
    if question.kind != "several" and len(values) > 1:
        raise MalformedBallotError(f"several answers to {question.key}")
    return tuple(values)
