"""What the paper found in its own three studies: with other videos and other people, so beside ours, never mixed."""

from evaluation.published import SOURCE, published, published_facts

__all__ = ["SOURCE"]

TABLE_1 = published("table1").rows  # percent of the answers
TABLE_1_ANSWERS = published_facts()["table1"]["answers"]

_HEAD_POSE = published_facts()["head_pose_study"]
HEAD_POSE_METHOD = _HEAD_POSE["method"]
HEAD_POSE_COUNTS = tuple(_HEAD_POSE["counts"])  # of the answers 1 ... 5
HEAD_POSE_MEAN = _HEAD_POSE["mean"]
HEAD_POSE_SIMILAR = _HEAD_POSE["similar"]  # percent of answers 4 and 5
HEAD_POSE_DISSIMILAR = _HEAD_POSE["dissimilar"]  # percent of answers 1 and 2
HEAD_POSE_HS = _HEAD_POSE["hs"]
HEAD_POSE_CORRELATION = _HEAD_POSE["correlation"]

# percent of the people who chose the model trained with so many frames; several answers allowed
VIDEO_LENGTH = {int(name.split()[0]): values["best"] for name, values in published("video_length").rows.items()}
VIDEO_LENGTH_ANSWERS = published_facts()["video_length"]["answers"]
