"""CSIM: is the generated face still the same person's?"""

from torch import Tensor
from torch.nn.functional import cosine_similarity

from evaluation.frame_values import FrameMean


def csim(generated: Tensor, reference: Tensor) -> Tensor:
    r"""Cosine similarity of the identity features of every frame.

    .. math:: \mathrm{CSIM} = \frac{f \cdot g}{\lVert f \rVert \lVert g \rVert}

    Args:
        generated: (T, D) identity features of generated frames, such as ArcFace's.
        reference: (T, D) those of the true frames.

    Returns:
        (T,) double in [-1, 1]; nan where a feature is nan, the mark of a frame without a face.

    Raises:
        ValueError: the shapes differ or are not (T, D).

    >>> import torch
    >>> csim(torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0, 0.0]]))
    tensor([0.6000], dtype=torch.float64)
    """
    if generated.ndim != 2 or generated.shape != reference.shape:
        raise ValueError(
            f"expected two (T, D) sets of features, got {tuple(generated.shape)} and {tuple(reference.shape)}"
        )
    return cosine_similarity(generated.double(), reference.double(), dim=1)


class CSIM(FrameMean):
    """Mean over frames of :func:`csim`.

    State: sum of the frames' cosines and their number, added up over processes.

    >>> import torch
    >>> metric = CSIM()
    >>> features = torch.rand(4, 512)
    >>> metric.update(features, 2 * features)
    >>> metric.compute()
    tensor(1.)
    """

    higher_is_better = True

    def update(self, generated: Tensor, reference: Tensor) -> None:
        """Adds frames; arguments as in :func:`csim`."""
        self.add(csim(generated, reference))
