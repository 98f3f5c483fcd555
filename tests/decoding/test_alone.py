"""Promise 2: a line's translation is the same piece by piece alone, in any batch and in any order, for every option."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from translator.config import replace_stated
from translator.config.overrides import settings_from
from translator.text.input_lines import blocks_of
from translator.translation import Translator
from translator.translation.result import TranslatedLine

OPTIONS: dict[str, dict[str, Any]] = {
    "greedy": {"beam_size": 1},
    "beam": {"beam_size": 5, "n_best": 5},
    "mean length penalty": {"beam_size": 3, "length_penalty": "mean", "length_alpha": 1.0, "n_best": 2},
    "sampling": {"search": "sampling", "n_best": 3},
    "top k": {"search": "sampling", "temperature": 1.5, "top_k": 7, "n_best": 2},
    "top p": {"search": "sampling", "temperature": 0.7, "top_p": 0.6, "seed": 3},
    "more samples than slots at first": {"search": "sampling", "n_best": 40},
    "a wide beam": {"beam_size": 20, "n_best": 20},
    "least risk by chrF": {"search": "mbr", "mbr_samples": 6, "n_best": 2},
    "least risk by BLEU": {"search": "mbr", "mbr_samples": 5, "mbr_utility": "bleu"},
    "diverse groups": {"beam_size": 4, "diverse_groups": 2, "n_best": 4},
    "prefix": {"beam_size": 2, "prefix": "the dog"},
    "banned": {"beam_size": 3, "banned": ["a", "the", "s"]},
    "required": {"beam_size": 4, "required": ["dog cat", "reads"]},
    "required, greedy": {"beam_size": 1, "required": ["dog cat", "reads"]},
    "required, sampled": {"search": "sampling", "required": ["red"], "n_best": 2},
    "no repetition": {"beam_size": 3, "block_ngrams": 2, "repetition_penalty": 0.7},
    "lengths": {"beam_size": 3, "min_length_factor": 1.2, "max_length_factor": 1.3, "max_length_extra": 2},
    "small batches": {"beam_size": 2, "batch_tokens": 1},
    "truncated": {"beam_size": 2, "long_lines": "truncate"},
}
WORD = st.sampled_from(
    ["a", "dog", "cat", "man", "woman", "reads", "in", "the", "red", "house.", "x9", "ß", "🙂", "</s>"]
)
LINE = st.lists(WORD, max_size=9).map(" ".join) | st.lists(WORD, min_size=35, max_size=50).map(" ".join)


@pytest.fixture(scope="module")
def translator(tiny_run: Path) -> Translator:
    return Translator.load(tiny_run, device="cpu")


def translated(
    translator: Translator, lines: list[str], option: dict[str, Any], window: int | None = None
) -> list[TranslatedLine]:
    """The lines with their scores and pieces."""
    chosen = replace_stated(translator.settings, settings_from(option))
    return list(translator.translate_blocks(blocks_of(lines, window), chosen, with_scores=True))


def told(lines: list[TranslatedLine]) -> list[list[tuple[tuple[str, ...], float]]]:
    """Pieces, and scores to the last digits that a batch may change."""
    return [
        [(own.pieces, pytest.approx(own.score, rel=1e-4, abs=1e-4)) for own in line.translations]  # type: ignore[misc]
        for line in lines
    ]


@pytest.mark.parametrize("option", OPTIONS)
@given(data=st.data())
@settings(max_examples=5, deadline=None)
def test_a_line_is_translated_as_if_it_were_alone(translator: Translator, option: str, data: st.DataObject) -> None:
    lines = data.draw(st.lists(LINE, min_size=2, max_size=7))
    order = data.draw(st.permutations(range(len(lines))))
    chosen = OPTIONS[option]
    together = told(translated(translator, lines, chosen))
    alone = [told(translated(translator, [line], chosen))[0] for line in lines]
    mixed = told(translated(translator, [lines[place] for place in order], chosen, window=3))
    assert together == alone
    assert mixed == [alone[place] for place in order]


def test_the_options_make_a_difference(translator: Translator) -> None:
    """What the property is tested with must not be the same search under many names."""
    line = ["the man reads a red house in the dog"]
    found = {option: told(translated(translator, line, chosen)) for option, chosen in OPTIONS.items()}
    plain = told(translated(translator, line, {"beam_size": 3}))
    for option in set(OPTIONS) - {"small batches", "truncated"}:
        assert found[option] != plain, option


@given(data=st.binary(max_size=200))
@settings(max_examples=25, deadline=None)
def test_as_many_lines_come_out_of_a_model_as_bytes_have(translator: Translator, data: bytes) -> None:
    lines = data.decode("utf-8", "replace").split("\n")
    found = list(translator.translate(lines, beam_size=1))
    assert len(found) == len(lines)
    assert all("\n" not in line for line in found)
    assert [line.endswith("\r") for line in found] == [line.endswith("\r") for line in lines]
