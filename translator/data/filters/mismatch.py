"""Pairs whose sides disagree about what translation leaves alone: numbers, addresses, brackets and quotation marks."""

import re
from collections import Counter

# A separator before three digits groups thousands: 1,000 and 1.000 and 1 000 are the same number. Any other ends a
# number, so that 3.5 and 3,5, and 30.11.2026 and 11/30/2026, have the same ones.
_NUMBER = re.compile(r"\d{1,3}(?:[ .,'’\u00a0\u202f]\d{3})+(?!\d)|\d+")
_NOT_DIGIT = re.compile(r"\D+")
_ADDRESS = re.compile(r"(?:https?://|www\.)[^\s<>\"'“”„«»]+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+", re.IGNORECASE)
_AFTER_ADDRESS = ".,;:!?)]}…"
_BRACKETS = ("(（", ")）"), ("[［", "]］"), ("{｛", "}｝"), ("「", "」"), ("『", "』"), ("【", "】")
_QUOTES = re.compile('["“”„‟«»]')


def have_different_numbers(source: str, target: str) -> bool:
    """Whether one side has a number of two or more digits that the other lacks, or has it another number of times.

    Single digits are often written in words. Digits of any script count as the same.
    """
    return _numbers(source) != _numbers(target)


def have_different_addresses(source: str, target: str) -> bool:
    """Whether the sides have other web or e-mail addresses."""
    return _addresses(source) != _addresses(target)


def have_different_balance(source: str, target: str) -> bool:
    """Whether brackets or double quotation marks are closed on one side and not on the other.

    What is open on both sides, as in an enumeration `a)` or a quotation over several lines, is as it should be.
    """
    return _balance(source) != _balance(target)


def _numbers(text: str) -> Counter[str]:
    if not any(map(str.isdigit, text)):
        return Counter()
    numbers = (_NOT_DIGIT.sub("", number) for number in _NUMBER.findall(text))
    return Counter(str(int(number)) for number in numbers if len(number) > 1 and number.isdecimal())


def _addresses(text: str) -> Counter[str]:
    if "@" not in text and "://" not in text and "www." not in text.lower():
        return Counter()
    return Counter(address.rstrip(_AFTER_ADDRESS).lower() for address in _ADDRESS.findall(text))


def _balance(text: str) -> tuple[int, ...]:
    if _PUNCTUATION.search(text) is None:
        return _BALANCED
    brackets = (sum(map(text.count, opening)) - sum(map(text.count, closing)) for opening, closing in _BRACKETS)
    return *brackets, len(_QUOTES.findall(text)) % 2


_PUNCTUATION = re.compile(f'[{re.escape("".join(map("".join, _BRACKETS)))}"“”„‟«»]')
_BALANCED = (0,) * (len(_BRACKETS) + 1)
