"""Sentences for the embedded person to say: grown from word lists, different for every seed, never ending.

The patterns and words were chosen for the mouth: every English phoneme appears often, lip closures (p, b, m), rounded
and spread vowels follow each other in many orders, and statements, questions and lists vary the melody.
"""

from collections.abc import Iterator

import numpy as np

_WORDS: dict[str, tuple[str, ...]] = {
    "person": (
        *("my mother", "our neighbour", "the young baker", "a famous painter", "the bus driver", "my older brother"),
        *("the girl next door", "a quiet fisherman", "the whole village", "our new teacher", "the woman in blue"),
        *("Martha", "Joshua", "Beatrice", "Paul", "Vivian", "Theodore", "Naomi", "Oliver"),
    ),
    "action": (
        *("mended", "borrowed", "photographed", "brought back", "painted", "polished", "found", "described", "built"),
        *("measured", "forgot", "opened", "watched", "washed", "moved", "shook", "chose", "carried", "gave away"),
    ),
    "quality": (
        *("beautiful", "heavy", "peculiar", "broken", "purple", "wooden", "thirsty", "enormous", "smooth", "yellow"),
        *("cheap", "warm", "foolish", "cheerful", "bright", "very old", "ruby red", "half empty", "wonderful"),
    ),
    "thing": (
        *("bridge", "piano", "umbrella", "map of the harbour", "box of apples", "boat", "jar of honey", "mirror"),
        *("garden chair", "book of poems", "bicycle", "jacket", "loaf of bread", "kettle", "puzzle", "toy airplane"),
        *("lamp", "photograph", "wheelbarrow", "violin", "bowl of soup", "pair of shoes", "mushroom", "thermometer"),
    ),
    "place": (
        *("above the river", "behind the church", "near the market", "under a huge oak", "at the railway station"),
        *("on the mountain path", "beside the blue pool", "in the museum", "by the window", "over the southern road"),
        *("between two farms", "in front of the theatre", "at the bottom of the valley", "on the roof"),
    ),
    "time": (
        *("yesterday", "on Monday morning", "before breakfast", "last February", "every evening", "five years ago"),
        *("at a quarter past two", "just after the storm", "during the summer", "a week before the wedding"),
    ),
    "feeling": (
        *("amazed", "surprised", "proud", "a bit worried", "pleased", "rather confused", "perfectly calm", "hopeful"),
    ),
    "weather": ("rain", "fog", "thick snow", "warm sunshine", "a gentle breeze", "thunder", "heavy frost"),
    "number": ("three", "five", "seven", "eleven", "about forty", "more than fifty", "exactly twelve", "a thousand"),
    "advice": (
        *("keep a map in your pocket", "choose the smaller room", "pour the water slowly", "put both hands up"),
        *("ask for the blue paper", "move your feet to the music", "buy fresh fish", "push the boat off gently"),
    ),
}

_PATTERNS: tuple[str, ...] = (
    "{Person} {action} the {quality} {thing} {place} {time}.",
    "{Time}, {person} {action} a {quality} {thing}, and everybody was {feeling}.",
    "Would you believe that {person} {action} {number} of them {place}?",
    "We saw {weather}, then {weather}, and finally {weather} {place}.",
    "If you ever meet {person} {place}, {advice}.",
    "{Person} was {feeling}, because the {thing} looked so {quality}.",
    "Please remember to {advice}, and {advice} as well.",
    "There were {number} people {place}, but nobody {action} the {thing}.",
    "How much would the {quality} {thing} be worth to {person}?",
    "I thought the {thing} was {quality}, though {person} said it was {quality}.",
    "They sold a {thing}, a {thing}, and a {quality} {thing} {time}.",
    "{Person} and {person} always tell me: {advice}!",
    "{Time} we waited {place} for {person}, who never came.",
    "The {quality} {thing} belongs to {person}, and the {quality} one to me.",
)


def sentences(seed: int) -> Iterator[str]:
    """Write sentences without end.

    No pattern follows itself, and no word stands twice in a sentence.

    Args:
        seed: The same seed gives the same sentences.

    Yields:
        One sentence with its punctuation.
    """
    rng = np.random.default_rng([seed, 1])  # a stream of its own: other draws of the person do not shift the words
    last = -1
    while True:
        choices = [i for i in range(len(_PATTERNS)) if i != last]
        last = int(rng.choice(choices))
        yield fill(_PATTERNS[last], rng)


def fill(pattern: str, rng: np.random.Generator) -> str:
    """Write a sentence after a pattern.

    Args:
        pattern: Each {kind} is replaced by an unused word of that kind; a capital {Kind} starts the sentence.
        rng: Chooses the words.
    """
    used: set[str] = set()
    text = ""
    for piece in pattern.split("{"):
        kind, brace, rest = piece.partition("}")
        if not brace:
            text += piece
            continue
        word = str(rng.choice([word for word in _WORDS[kind.lower()] if word not in used]))
        used.add(word)
        text += (word[0].upper() + word[1:] if kind[0].isupper() else word) + rest
    return text
