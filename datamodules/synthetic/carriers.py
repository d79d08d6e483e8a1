"""Words to be read from lips, and sentences that carry them in their middle.

As in LRW, the words are common ones of at least five letters, and each is said among others, so that its ends are
coloured by its neighbours. The words and sentences are ours.
"""

from binascii import crc32
from dataclasses import dataclass

import numpy as np

from datamodules.synthetic.sentences import fill

_KINDS: dict[str, str] = {
    "noun": (
        "people business company country family member power report problem question school service system market "
        "weather morning evening minister money number office paper parent picture place police president "
        "price reason river street summer support water window winter woman world worker bridge budget building chance "
        "change child council doctor election energy farmer figure football friend future hospital island judge leader "
        "letter level moment month mother nation party period player programme purpose record region result"
    ),
    "verb": (
        "asked brought called carried changed decided expected finished followed forgot found happened helped believed "
        "bought built checked described discovered enjoyed explained improved measured mentioned moved needed noticed "
        "offered opened promised pushed refused remembered showed stopped supported thought turned wanted watched"
    ),
    "adjective": (
        "beautiful better bigger broken careful certain clear common different difficult early famous foreign general "
        "happy heavy higher human important large local major military modern normal obvious possible private public "
        "quiet serious simple small social special strong terrible useful wonderful wrong young"
    ),
    "adverb": (
        "actually again already always certainly clearly finally hardly never often perhaps probably quickly quietly "
        "really simply slowly suddenly together usually"
    ),
}
_CARRIERS: dict[str, tuple[str, ...]] = {
    "noun": (
        "I believe that the {word} was never {quality} enough.",
        "{Person} spoke about the {word} for more than an hour.",
        "As far as we know the {word} belongs to {person} now.",
        "Nobody has seen such a {word} since the last winter.",
        "They told us that another {word} had been {feeling} {time}.",
        "You can see why this {word} matters to so many of us.",
        "We were waiting for one {word} {place} all evening.",
        "It looks as if the {word} will be ready by Monday.",
    ),
    "verb": (
        "{Person} and {person} {word} it again and again.",
        "I heard that they {word} the {thing} {time}.",
        "Most of the people here {word} it without a thought.",
        "We know that {person} {word} the {quality} {thing}.",
        "In the end my brother {word} every {thing} on the list.",
        "But when the others {word} that {quality} {thing}, we laughed.",
    ),
    "adjective": (
        "It was a very {word} {thing}, and everybody knew it.",
        "{Person} looked so {word} when we met {place}.",
        "There is something {word} about the {thing} {place}.",
        "We thought it was {word} and rather {quality}.",
        "They need a more {word} plan before the summer.",
        "She said it was a {word} {thing} and went away.",
    ),
    "adverb": (
        "I am told it {word} happens {place}.",
        "{Person} {word} said that nothing would change.",
        "It seems that we {word} forgot about the {thing}.",
        "They have {word} been {quality}, you know.",
        "Some of the men {word} went back {place}.",
        "And so my friends {word} walked home after the storm.",
    ),
}


def _words() -> dict[str, str]:
    kinds = {
        word: kind for kind, words in _KINDS.items() for word in words.split() if len(word) >= 5 and word.isalpha()
    }
    return {word: kinds[word] for word in sorted(kinds, key=lambda word: crc32(word.encode()))}


WORDS: dict[str, str] = _words()
"""Kind of every word; mixed by a checksum, so that the first few are of all kinds and all initial sounds."""


@dataclass(frozen=True)
class Carrier:
    """A sentence around a word.

    Attributes:
        text: The sentence.
        offset: Of the word's first letter.
    """

    text: str
    offset: int


def carry(word: str, rng: np.random.Generator) -> Carrier:
    """Write a sentence with a word in its middle.

    Args:
        word: One of `WORDS`.
        rng: Chooses the sentence.
    """
    carriers = _CARRIERS[WORDS[word]]
    before, after = fill(carriers[rng.integers(len(carriers))].replace("{word}", "\n"), rng).split("\n")
    return Carrier(before + word + after, len(before))
