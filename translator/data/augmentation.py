"""Augmentation: pairs are altered at random while a model trains, so that it copes with text like that.

Captions in capitals, typing errors, sentences without their last punctuation, two sentences in a line, emoji and tags
that are to be copied: the modifiers of OpusTrainer (Bogoychev et al. 2023), on both sides of a pair where the
translation is to show it. Every alteration is a pure function of the texts and a generator of random numbers.
"""

import random
import unicodedata
from collections.abc import Callable, Sequence

from translator.config import AugmentationSettings

Texts = tuple[str, str]
"""Source and target of a pair."""

_FINAL = ".!?…。！？؟।"
_UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "IDEOGRAPHIC", "FULLWIDTH", "THAI", "LAO", "KHMER")
_NEIGHBOURS = {
    key: row[max(index - 1, 0) : index] + row[index + 1 : index + 2]
    for row in ("qwertyuiop", "asdfghjkl", "zxcvbnm")
    for index, key in enumerate(row)
}
_CHARACTERS_PER_ERROR = 25
"""A text with typing errors has one for every so many characters, and at least one."""
_RARE = ((0x03B1, 0x03C9), (0x0410, 0x044F), (0x05D0, 0x05EA), (0x2190, 0x22FF), (0x4E00, 0x9FA5))
"""Characters that a corpus may never have: Greek, Cyrillic, Hebrew, symbols, ideographs."""
_COPIED = ("😀", "😂", "❤️", "👍", "🎉", "★", "→", "™", "€", "<b>", "</b>", "<br/>", "{0}", "{name}", "%s", "#tag")


class Augmenter:
    """Alters pairs with the probabilities of `AugmentationSettings`."""

    def __init__(self, settings: AugmentationSettings) -> None:
        self.settings = settings

    def alter(
        self, sources: Sequence[str], targets: Sequence[str], seed: int, groups: Sequence[int] | None = None
    ) -> tuple[list[str], list[str]]:
        """Return the texts of the pairs, some of them altered; the same seed alters the same pairs in the same way.

        Only pairs of the same group, such as a target language, share a line.
        """
        settings, draw = self.settings, random.Random(seed)
        pairs = list(zip(sources, targets, strict=True))
        altered = []
        for index, pair in enumerate(pairs):
            # Later alterations see the result of earlier ones: a merged line may be in capitals.
            if draw.random() < settings.merge:
                other = draw.randrange(len(pairs))
                if groups is None or groups[other] == groups[index]:
                    pair = _merged(pair, pairs[other])
            if draw.random() < settings.drop_final_punctuation:
                pair = _without_final_punctuation(pair)
            pair = self._cased(pair, draw)
            if draw.random() < settings.typos:
                pair = (_with_typos(pair[0], draw), pair[1])
            if draw.random() < settings.copied:
                pair = _with_copied(pair, draw)
            altered.append(pair if all(map(str.strip, pair)) else pairs[index])
        return [source for source, _ in altered], [target for _, target in altered]

    def _cased(self, pair: Texts, draw: random.Random) -> Texts:
        """Change the case of both sides; a pair is changed in one way at most."""
        settings, point = self.settings, draw.random()
        ways: tuple[tuple[float, Callable[[str], str]], ...] = (
            (settings.upper_case, str.upper),
            (settings.title_case, _title),
            (settings.lower_case, str.lower),
        )
        for probability, change in ways:
            if point < probability:
                return change(pair[0]), change(pair[1])
            point -= probability
        return pair


def _title(text: str) -> str:
    """Begin every word with a capital; unlike `str.title`, what follows an apostrophe stays as it is."""
    return " ".join(word[:1].upper() + word[1:] for word in text.split(" "))


def _merged(first: Texts, second: Texts) -> Texts:
    """Put two pairs in one line, without a space in scripts that have none."""
    return _joined(first[0], second[0]), _joined(first[1], second[1])


def _joined(first: str, second: str) -> str:
    return f"{first}{second}" if unicodedata.name(first[-1], "").startswith(_UNSPACED) else f"{first} {second}"


def _without_final_punctuation(pair: Texts) -> Texts:
    """Leave out the punctuation that ends both sides; a pair with it on one side only stays as it is."""
    shorter = tuple(text.rstrip(_FINAL + " ") for text in pair)
    both = all(len(short) < len(text) for short, text in zip(shorter, pair, strict=True))
    return (shorter[0], shorter[1]) if both else pair


def _with_typos(text: str, draw: random.Random) -> str:
    """Leave out, double, swap or mistype letters."""
    for _ in range(max(1, len(text) // _CHARACTERS_PER_ERROR)):
        places = [place for place, character in enumerate(text) if character.isalpha()]
        if not places:
            return text
        place = draw.choice(places)
        character = text[place]
        neighbour = draw.choice(_NEIGHBOURS.get(character.lower(), character))
        typed = draw.choice(
            (
                "",
                character * 2,
                text[place : place + 2][::-1],
                neighbour.upper() if character.isupper() else neighbour,
            )
        )
        taken = 2 if len(typed) == 2 and typed != character * 2 else 1
        text = text[:place] + typed + text[place + taken :]
    return text


def _with_copied(pair: Texts, draw: random.Random) -> Texts:
    """Put the same thing, which is not to be translated, at the beginning or the end of both sides."""
    kind = draw.random()
    if kind < 0.5:
        thing = draw.choice(_COPIED)
    elif kind < 0.75:
        thing = chr(draw.randint(*draw.choice(_RARE)))
    else:
        thing = f"https://example.org/{draw.randrange(10**6)}" if draw.random() < 0.3 else f"{draw.randrange(10**6):,}"
    first = draw.random() < 0.5
    source, target = (f"{thing} {text}" if first else f"{text} {thing}" for text in pair)
    return source, target
