"""The memory network M: (spatial, identity) feature pairs, written in training and looked up at test (paper, 3.4).

The rules are those of the colouring memory the paper adapts (its reference [56]), with cosine similarity for both
features (footnote 2) and three faults of the released code put right: empty slots are flagged and never found, a sample
without a positive has no loss, and values have unit length from the start.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_modules.precision import at_least_fp32

NO_SOURCE = -1  # of an empty slot
UNKNOWN = -1  # speaker of an empty slot, or of a sample that came without one


@dataclass(frozen=True)
class Retrieved:
    """What the memory gave for B spatial features.

    Attributes:
        values: (B, V) identity features of the best matches.
        slots: (B,) int64 their slots.
        similarity: (B,) cosine similarity of query and key.
    """

    values: Tensor
    slots: Tensor
    similarity: Tensor


class IdentityMemory(nn.Module):
    """A bank of (spatial feature, identity feature) pairs; all of it is in the state dict.

    A state dict from before speakers were remembered loads, strictly too, with unknown speakers.

    Args:
        slots: Capacity. The paper gives none.
        key_size: Numbers of a spatial feature.
        value_size: Numbers of an identity feature.
        similarity_threshold: Cosine similarity above which two identity features are of one person.
        top_k: Slots, nearest first, among which the triplet loss looks for a positive and a negative.
        margin: α of the triplet loss.
        age_noise: Half width of the uniform noise added to ages before the oldest slot is replaced.
        seed: Of that noise, together with the number of items written before.

    Attributes:
        keys: (slots, key_size) unit spatial features, 0 where empty.
        values: (slots, value_size) unit identity features, 0 where empty.
        age: (slots,) int64, items written since the slot was last touched.
        filled: (slots,) bool.
        source: (slots,) int64 index of the sample a slot was written from, -1 where empty.
        speakers: (slots,) int64 who that sample is of, -1 where nobody said; only looked at to judge retrieval, and
            numbers of one corpus alone.
        written: () int64, items written so far.
    """

    keys: Tensor
    values: Tensor
    age: Tensor
    filled: Tensor
    source: Tensor
    speakers: Tensor
    written: Tensor

    def __init__(
        self,
        slots: int,
        key_size: int = 512,
        value_size: int = 512,
        *,
        similarity_threshold: float,
        top_k: int = 256,
        margin: float = 0.3,
        age_noise: float = 4.0,
        seed: int = 0,
    ):
        super().__init__()
        if slots < 1 or top_k < 1:
            raise ValueError(f"memory needs at least one slot and top_k of at least 1, got {slots} and {top_k}")
        if not -1 <= similarity_threshold < 1:
            raise ValueError(f"similarity_threshold is a cosine, from -1 to below 1, got {similarity_threshold}")
        self.similarity_threshold, self.top_k, self.margin = similarity_threshold, top_k, margin
        self.age_noise, self.seed = age_noise, seed
        self.register_buffer("keys", torch.zeros(slots, key_size))
        self.register_buffer("values", torch.zeros(slots, value_size))
        self.register_buffer("age", torch.zeros(slots, dtype=torch.int64))
        self.register_buffer("filled", torch.zeros(slots, dtype=torch.bool))
        self.register_buffer("source", torch.full((slots,), NO_SOURCE))
        self.register_buffer("speakers", torch.full((slots,), UNKNOWN))
        self.register_buffer("written", torch.zeros((), dtype=torch.int64))

    def __len__(self) -> int:
        return int(self.filled.sum())

    def triplet_loss(self, queries: Tensor, values: Tensor) -> Tensor:
        r"""Threshold triplet loss (reference [56]).

        Among the `top_k` filled slots nearest to a query, with p the nearest whose identity is similar to the sample's
        (cosine above the threshold) and n the nearest whose identity is not:

        .. math:: \max(0,\; s(q, K_n) - s(q, K_p) + \alpha)

        A sample that has no p or no n among them has no loss. Gradient flows into the queries only.

        Args:
            queries: (B, key_size) unit spatial features.
            values: (B, value_size) unit identity features of the same samples.

        Returns:
            () tensor, mean over the batch, always part of the graph of `queries`.
        """
        score, nearest = self._scores(queries).topk(min(self.top_k, len(self.keys)), dim=1)
        with torch.no_grad():
            alike = _cosine(values, self.values).gather(1, nearest) > self.similarity_threshold
        positive = score.masked_fill(~alike, -torch.inf).amax(1)
        negative = score.masked_fill(alike, -torch.inf).amax(1)
        defined = positive.isfinite() & negative.isfinite()
        zero = at_least_fp32(queries).sum(1) * 0.0
        # the inner selection keeps inf - inf out of the backward pass
        hinge = torch.where(defined, negative, zero) - torch.where(defined, positive, zero) + self.margin
        return torch.where(defined, hinge.clamp_min(0), zero).mean()

    @torch.no_grad()
    def write(self, queries: Tensor, values: Tensor, source: Tensor, speakers: Tensor | None = None) -> None:
        """Write samples one by one, each seeing what the last one left.

        The nearest slot is of the same person: its key becomes the unit mean of both, its age 0, its value stays.
        Otherwise the pair goes into the first empty slot, or else replaces the oldest (age plus noise).

        Args:
            queries: (B, key_size) unit spatial features, in global sample order.
            values: (B, value_size) unit identity features.
            source: (B,) int64 indices of the samples.
            speakers: (B,) int64 who they are of.
        """
        speakers = torch.full_like(source, UNKNOWN) if speakers is None else speakers
        samples = zip(at_least_fp32(queries), at_least_fp32(values), source, speakers, strict=True)
        for query, value, index, speaker in samples:
            self._write_one(query, value, index, speaker)

    def _write_one(self, query: Tensor, value: Tensor, index: Tensor, speaker: Tensor) -> None:
        nearest = self._scores(query[None])[0].argmax()
        self.age += self.filled
        if self.filled[nearest] and _cosine(value[None], self.values[nearest][None]) > self.similarity_threshold:
            slot = nearest
            self.keys[slot] = functional.normalize(self.keys[slot] + query, dim=0)
        else:
            slot = self._slot_to_fill()
            self.keys[slot], self.values[slot] = query, value
            self.filled[slot], self.source[slot], self.speakers[slot] = True, index, speaker
        self.age[slot] = 0
        self.written += 1

    def knows(self, speakers: Tensor) -> Tensor:
        """Whether something of each speaker is in the memory, (B,) bool; nobody knows an `UNKNOWN` one.

        Args:
            speakers: (B,) int64, numbered as those that were written.
        """
        return (speakers != UNKNOWN) & torch.isin(speakers, self.speakers)

    def is_same_person(self, found: Retrieved, values: Tensor, speakers: Tensor | None = None) -> Tensor:
        """Whether each best match is of the sample's person.

        By their speakers where the memory holds the sample's and the match has one. Of people who only validate, as in
        LRW or where a corpus is split by speaker, it can hold nothing: there, a similar identity feature is right.

        Args:
            found: What `retrieve` gave for the samples.
            values: (B, value_size) unit identity features of the samples.
            speakers: (B,) int64 who they are of, where that is known.

        Returns:
            (B,) bool.
        """
        alike = (found.values * values).sum(1) > self.similarity_threshold
        if speakers is None:
            return alike
        matched = self.speakers[found.slots]
        named = self.knows(speakers) & (matched != UNKNOWN)
        return torch.where(named, matched == speakers, alike)

    @torch.no_grad()
    def forget_speakers(self) -> None:
        """Make all speakers unknown: in another corpus the same numbers are other people."""
        self.speakers.fill_(UNKNOWN)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        state_dict.setdefault(f"{prefix}speakers", torch.full_like(self.speakers, UNKNOWN))
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def _scores(self, queries: Tensor) -> Tensor:
        """Similarity to every key, (B, slots), -inf where a slot is empty."""
        return _cosine(queries, self.keys).masked_fill(~self.filled, -torch.inf)

    def _slot_to_fill(self) -> Tensor:
        if not self.filled.all():
            return self.filled.int().argmin()  # the first empty one
        # a function of (seed, items written): equal on every process and after a restart
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + int(self.written)) % 2**63)
        noise = (torch.rand(len(self.age), generator=generator) * 2 - 1) * self.age_noise
        return (self.age.double() + noise.to(self.age.device)).argmax()

    @torch.no_grad()
    def retrieve(self, queries: Tensor) -> Retrieved:
        """Find the best match of each spatial feature.

        Args:
            queries: (B, key_size) unit spatial features.

        Raises:
            RuntimeError: Nothing has been written yet.
        """
        if not self.filled.any():
            raise RuntimeError("the memory is empty: train MemoryGAN, or load a checkpoint, before retrieving from it")
        similarity, slots = self._scores(queries).max(1)
        return Retrieved(self.values[slots], slots, similarity)


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    """(N, D) and (M, D) of unit length -> (N, M), in fp32 or more: bf16 would rank near neighbours wrongly."""
    with torch.autocast(a.device.type, enabled=False):
        return at_least_fp32(a) @ at_least_fp32(b).T


def smooth_features(features: Tensor, window: int = 25) -> Tensor:
    """Mean over neighbouring frames, brought back to unit length, against jitter of single retrievals (paper, 3.4).

    Args:
        features: (T, D) unit identity features of consecutive frames.
        window: Odd number of frames, centred; near the ends it holds the frames there are. Ours: one second, the step
            of the original code's interpolation.

    Returns:
        (T, D) fp32 of unit length.

    Raises:
        ValueError: `window` is even or below 1.
    """
    if window < 1 or window % 2 == 0:
        raise ValueError(f"smooth_features: window has to be odd and at least 1, got {window}")
    reach = window // 2
    padded = functional.pad(features.double(), (0, 0, reach, reach))
    summed = padded.unfold(0, window, 1).sum(-1)  # the length of a mean does not matter, only its direction
    return functional.normalize(summed, dim=1).float()
