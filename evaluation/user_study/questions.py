"""What is asked: the three studies of the paper, each a part of one study here."""

from dataclasses import dataclass
from typing import Literal

COMPARISON, HEAD_POSE, VIDEO_LENGTH = "comparison", "head_pose", "video_length"

# paper, 4.4: the five answers, in its words
SIMILARITY = {"1": "not similar", "2": "maybe not similar", "3": "don't know", "4": "maybe similar", "5": "similar"}
# of the columns of Table 1
HEADINGS = {"image_quality": "Image quality", "lip_sync": "Lip synchronization", "natural": "Natural"}


@dataclass(frozen=True)
class Question:
    """One question about the videos of a trial.

    Attributes:
        key: Its name in forms, votes and tables.
        text: What people read.
        kind: The answer: `one` of the videos, `several` of them (at least one), or a step of the `scale` 1 ... 5.
    """

    key: str
    text: str
    kind: Literal["one", "several", "scale"]


@dataclass(frozen=True)
class Part:
    """One of the paper's studies.

    Attributes:
        title: Headline of its pages.
        instruction: What to do before answering.
        questions: Asked about every trial of the part.
    """

    title: str
    instruction: str
    questions: tuple[Question, ...]


PARTS = {
    COMPARISON: Part(  # paper, 4.3 and Table 1
        "Which video is best?",
        "Watch every video to its end, with sound. Then answer the three questions.",
        (
            Question("image_quality", "Which video has the best image quality?", "one"),
            Question("lip_sync", "In which video do the lips match the speech best?", "one"),
            Question("natural", "In which video does the person talk most naturally?", "one"),
        ),
    ),
    HEAD_POSE: Part(  # paper, 4.4
        "How does the head move?",
        "Watch both videos and look at the pose and the movement of the head only.",
        (Question("similarity", "How similar are the head poses of the two videos?", "scale"),),
    ),
    VIDEO_LENGTH: Part(  # paper, appendix A
        "Which videos look best?",
        "Watch the original first, then every other video to its end.",
        (Question("best", "Which videos have the best visual quality? Select all that are equally good.", "several"),),
    ),
}
