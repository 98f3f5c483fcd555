"""Comparison of heads with a gold word alignment."""

from pathlib import Path

import pytest
import torch

from translator.attention import pack
from translator.checkpoints import Bundle, load_bundle
from translator.config import Head
from translator.errors import DataError
from translator.inspection.gold import GoldCounter, read_links
from translator.inspection.pairs import Pairs, read_pairs
from translator.inspection.statistics import Look, head_statistics
from translator.translation.word_alignment import word_numbers


@pytest.fixture(scope="module")
def bundle(tiny_run: Path) -> Bundle:
    return load_bundle(tiny_run, device="cpu")


def written(bundle: Bundle, folder: Path, sources: str, targets: str) -> Pairs:
    (folder / "source").write_text(sources, encoding="utf-8")
    (folder / "target").write_text(targets, encoding="utf-8")
    return read_pairs(bundle, folder / "source", folder / "target")


def links_of(pairs: Pairs, folder: Path, text: str) -> list[frozenset[tuple[int, int]]]:
    (folder / "links").write_text(text)
    return read_links(folder / "links", pairs)


def look_that_sees(bundle: Bundle, pairs: Pairs, index: int, heads: list[dict[int, int]]) -> Look:
    """Every target word of a pair looks at one source word, spread over its pieces, in every head."""
    source, target = pairs.ids[index]
    source_words = word_numbers(bundle.tokenizers.source.pieces(source))
    target_words = word_numbers(bundle.tokenizers.target.pieces(target))
    weights = torch.zeros(1, len(heads), len(target) + 1, len(source) + 1)
    for number, seen in enumerate(heads):
        for row, word in enumerate(target_words):
            places = [place for place, other in enumerate(source_words) if other == seen[word]]
            # The end token has the largest weight, but is left out.
            weights[0, number, row, places] = 0.4 / len(places)
            weights[0, number, row, -1] = 0.6
    packed = pack([[*source, bundle.tokenizers.source.eos_id]]), pack([[bundle.tokenizers.target.bos_id, *target]])
    return Look([index], *packed, {"cross": [weights]})


def test_words_are_counted_that_look_at_a_linked_word(bundle: Bundle, tmp_path: Path) -> None:
    pairs = written(bundle, tmp_path, "a dog sleeps\nthe red house\n", "dog a sleeps\nhouse red the\n")
    links = links_of(pairs, tmp_path, "0-1 1-0 2?2\n2-0 1-0\n")
    counter = GoldCounter(bundle, pairs, links)
    counter(look_that_sees(bundle, pairs, 0, [{0: 1, 1: 0, 2: 2}, {0: 1, 1: 1, 2: 1}]))
    counter(look_that_sees(bundle, pairs, 1, [{0: 1, 1: 0, 2: 0}, {0: 0, 1: 1, 2: 2}]))
    # Three words of the first pair are aligned; one word of the second is aligned to two words.
    assert counter.words == 4
    assert counter.shares() == {Head("cross", 1, 1): 1.0, Head("cross", 1, 2): 0.25}


def test_pieces_of_a_word_are_summed(bundle: Bundle, tmp_path: Path) -> None:
    pairs = written(bundle, tmp_path, "a zzzz\n", "a\n")
    source, target = pairs.ids[0]
    assert len(source) > 3 and len(target) == 1
    counter = GoldCounter(bundle, pairs, links_of(pairs, tmp_path, "1-0\n"))
    weights = torch.zeros(1, 1, 2, len(source) + 1)
    weights[0, 0, 0, 0] = 0.4
    weights[0, 0, 0, 1 : len(source)] = 0.6 / (len(source) - 1)
    assert weights[0, 0, 0].argmax() == 0
    packed = pack([[*source, bundle.tokenizers.source.eos_id]]), pack([[bundle.tokenizers.target.bos_id, *target]])
    counter(Look([0], *packed, {"cross": [weights]}))
    assert counter.shares() == {Head("cross", 1, 1): 1.0}


def test_lines_that_are_left_out_leave_out_their_links(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = written(bundle, tmp_path, "a dog\n\nthe house\n", "a dog\nthe\nhouse the\n")
    assert pairs.lines == [0, 2] and "line 2 is blank on one side" in capsys.readouterr().err
    counter = GoldCounter(bundle, pairs, links_of(pairs, tmp_path, "0-0\n\n0-1 1-0\n"))
    head_statistics(bundle, pairs.ids, counter)
    assert counter.words == 3 and len(counter.shares()) == 2


def test_other_words_than_white_space_makes_are_left_out(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # To the tokenizer U+2581 is a space, but it is not white space.
    pairs = written(bundle, tmp_path, "a dog\na\u2581dog cat\n", "a dog\ndog cat\n")
    counter = GoldCounter(bundle, pairs, links_of(pairs, tmp_path, "0-0\n0-0\n"))
    head_statistics(bundle, pairs.ids, counter)
    assert counter.words == 1
    counter.shares()
    assert "line 2 is split into words differently" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("0-0\n", "has 1 line, expected 2"),
        ("0-0\n0:0\n", "line 2: found '0:0'"),
        ("0-2\n\n", "line 1: found the link 0-2, expected words from 0 to 1 of the source and 1 of the target"),
        ("2-0\n\n", "line 1: found the link 2-0"),
        ("\n\n", "has no link"),
    ],
)
def test_a_wrong_alignment_is_explained(bundle: Bundle, tmp_path: Path, text: str, error: str) -> None:
    pairs = written(bundle, tmp_path, "a dog\nthe house\n", "a dog\nthe house\n")
    with pytest.raises(DataError, match=error.replace("(", r"\(")):
        counter = GoldCounter(bundle, pairs, links_of(pairs, tmp_path, text))
        head_statistics(bundle, pairs.ids, counter)
        counter.shares()
