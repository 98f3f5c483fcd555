"""Links between words become links between pieces, also between pieces of other segmentations."""

from pathlib import Path

import numpy as np
import pytest

from translator.config import TokenizerSettings
from translator.data.piece_links import PieceSizes, carry_over, link_pieces, piece_words
from translator.text import Tokenizer, train_tokenizers

TEXTS = ["the cat sees a house", "a dog reads the red book", "houses and dogs", "e\u0301t\u00e9 caf\u00e9"]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    settings = TokenizerSettings(vocab_size=320, user_defined_symbols=["{name}"])
    folder = tmp_path_factory.mktemp("tokenizer")
    return train_tokenizers(lambda: ((text, text) for text in TEXTS * 3), settings, Path(folder)).source


@pytest.mark.parametrize(
    ("text", "starts", "words"),
    [
        ("the red dog", [0, 2, 3, 7], [0, 0, 1, 2]),  # th|e| red| dog
        ("  the  dog ", [0, 3, 5, 6, 10], [0, 0, 1, 1, 1]),  # white space at both ends, and a piece for it
        ("a\u00a0b", [0, 1, 2], [0, 1, 1]),
        ("a \u2603", [0, 1, 2, 2, 2], [0, 1, 1, 1, 1]),  # the bytes of a character
    ],
)
def test_pieces_belong_to_words(text: str, starts: list[int], words: list[int]) -> None:
    assert piece_words(text, starts) == words


def test_every_piece_of_a_word_is_linked_to_every_piece_of_the_other() -> None:
    source, target = [0, 1, 1, 2], [0, 0, 1, 2, 2, 2]
    assert link_pieces(frozenset(), source, target) == []
    assert link_pieces(frozenset({(0, 1)}), source, target) == [0, 2]
    assert link_pieces(frozenset({(1, 0)}), source, target) == [1, 0, 2, 0, 1, 1, 2, 1]
    # Several words: in the order of the target, and after a language tag.
    assert link_pieces(frozenset({(2, 1), (0, 1), (1, 2)}), source, target, first=1) == [
        1, 2, 4, 2, 2, 3, 3, 3, 2, 4, 3, 4, 2, 5, 3, 5,
    ]  # fmt: skip
    # A word that normalisation leaves nothing of.
    assert link_pieces(frozenset({(1, 0)}), [0, 2], [0]) == []


@pytest.mark.parametrize(
    "text",
    [*TEXTS, "the   {name}s dog", "ca\u0301t \u2603\u2603 \U0001f600 house!", " \u4f60\u597d the ", ""],
)
def test_the_tokenizer_knows_where_pieces_begin(tokenizer: Tokenizer, text: str) -> None:
    """Word by word: the pieces of a word are those of the word alone, whatever is between the words."""
    (starts,), (ids,) = tokenizer.piece_starts([text]), tokenizer.encode([text])
    assert len(starts) == len(ids) and starts == sorted(starts)
    words = piece_words(text, starts)
    expected = [number for number, word in enumerate(text.split()) for _ in tokenizer.encode([word])[0]]
    assert words == expected


def test_white_space_that_the_tokenizer_writes_belongs_to_the_next_word(tokenizer: Tokenizer) -> None:
    text = "dog\u00a0reads"
    (starts,), (ids,) = tokenizer.piece_starts([text]), tokenizer.encode([text])
    words = piece_words(text, starts)
    first, space = len(tokenizer.encode(["dog"])[0]), sum(map(tokenizer.is_byte, ids))
    assert space == 2 and words == [0] * first + [1] * (len(ids) - first)


def test_links_are_carried_over_to_other_pieces_of_the_text(tokenizer: Tokenizer) -> None:
    sizes = PieceSizes(tokenizer)
    (usual,) = tokenizer.encode(["the houses caf\u00e9"])
    letters = [piece for letter in "\u2581the\u2581houses\u2581caf\u00e9" for piece in tokenizer.cut(letter)]
    assert len(letters) > len(usual)
    found = sizes.overlaps(np.array(usual), np.array(letters))
    assert found is not None
    spelled = ["".join(tokenizer.pieces(letters[first:end])) for first, end in found.tolist()]
    assert spelled == tokenizer.pieces(usual)
    # Every letter is linked as its word was; and back again.
    identity = np.stack([np.arange(len(usual)), np.arange(len(usual))], axis=1)
    links = np.array([[0, 1], [2, 0]])
    (first, end), (_, second) = found[0].tolist(), found[2].tolist()
    carried = carry_over(links, found, identity + [0, 1])
    expected = [[index, 1] for index in range(first, end)] + [[index, 0] for index in range(found[2][0], second)]
    assert carried.tolist() == expected
    back = sizes.overlaps(np.array(letters), np.array(usual))
    assert back is not None
    assert carry_over(carried, back, identity + [0, 1]).tolist() == [[0, 1], [2, 0]]


def test_pieces_of_another_or_an_unknown_text_say_nothing(tokenizer: Tokenizer) -> None:
    sizes, (ids,) = PieceSizes(tokenizer), tokenizer.encode(["the house"])
    assert sizes.overlaps(np.array(ids), np.array(ids[:-1])) is None
    assert sizes.overlaps(np.array([*ids, tokenizer.unk_id]), np.array([*ids, tokenizer.unk_id])) is None
