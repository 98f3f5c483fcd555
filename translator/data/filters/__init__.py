"""Filters: which training pairs are dropped for what they are, one file for each family; all pass here."""

from collections.abc import Callable, Sequence

import numpy as np

from translator.config import DataSettings
from translator.data.filters import mismatch, shape
from translator.data.filters.language import LanguageFilter
from translator.data.filters.mojibake import is_mojibake
from translator.data.filters.pair_filter import Filter, Pair, PairFilter
from translator.data.filters.script import less_script_than
from translator.text.corpus import Languages

__all__ = ["Filter", "Pair", "PairFilter", "REASON_OF_SETTING", "chosen_reasons", "first_to_drop", "text_filters"]


REASON_OF_SETTING = {
    "min_score": "score",
    "drop_identical": "identical",
    "max_characters": "characters",
    "drop_mojibake": "mojibake",
    "min_letter_share": "letters",
    "min_script_share": "script",
    "drop_different_numbers": "numbers",
    "drop_different_addresses": "addresses",
    "drop_unbalanced": "unbalanced",
    "drop_other_languages": "language",
    "drop_near_duplicates": "near_duplicate",
}
"""The settings that choose filters, and the reason under which each filter counts what it drops."""


def chosen_reasons(data: DataSettings) -> list[str]:
    """Return the reasons of all filters that the settings choose."""
    values = {setting: getattr(data, setting) for setting in REASON_OF_SETTING}
    return [
        REASON_OF_SETTING[setting]
        for setting, value in values.items()
        # A score may be limited to 0; a share of 0 keeps everything.
        if value or (setting == "min_score" and value is not None)
    ]


def text_filters(data: DataSettings, languages: Languages) -> list[Filter]:
    """Return the filters of text that the settings choose for a corpus in these languages, cheap ones first.

    Raises `DataError` if one of them does not suit the languages.
    """
    filters: list[Filter] = []

    def judge(reason: str, is_bad: Callable[[str, str], bool]) -> None:
        filters.append(PairFilter(reason, is_bad))

    if data.drop_identical:
        judge("identical", shape.are_identical)
    if data.max_characters is not None:
        judge("characters", shape.longer_than(data.max_characters))
    if data.drop_mojibake:
        judge("mojibake", lambda source, target: is_mojibake(source) or is_mojibake(target))
    if data.min_letter_share:
        judge("letters", shape.fewer_letters_than(data.min_letter_share))
    if data.min_script_share:
        judge("script", less_script_than(data.min_script_share, languages))
    if data.drop_different_numbers:
        judge("numbers", mismatch.have_different_numbers)
    if data.drop_different_addresses:
        judge("addresses", mismatch.have_different_addresses)
    if data.drop_unbalanced:
        judge("unbalanced", mismatch.have_different_balance)
    if data.drop_other_languages:
        filters.append(LanguageFilter(languages))
    return filters


def first_to_drop(pairs: Sequence[Pair], start: int, filters: Sequence[Filter]) -> np.ndarray:
    """Return for each pair 0 if all filters keep it, else 1 + the index of the first that drops it (uint8 [N]).

    `pairs` are consecutive pairs of the corpus, without surrounding white space; the first has the index `start` there.
    A pair that is blank on a side passes, because it is dropped for that.
    """
    found = np.zeros(len(pairs), dtype=np.uint8)
    left = np.flatnonzero([bool(source and target) for source, target in pairs])
    for number, each in enumerate(filters, start=1):
        dropped = each.drops([pairs[index] for index in left.tolist()], left + start)
        found[left[dropped]] = number
        left = left[~dropped]
    return found
