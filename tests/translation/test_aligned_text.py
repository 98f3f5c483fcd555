"""Text with its links: words counted through the parts of a line, unknown pieces replaced by what they come from."""

from pathlib import Path
from typing import Any

import pytest

from translator.translation import Translator
from translator.translation.aligned_text import LinkedText, Linker, join_characters, join_links, piece_spans


class Pieces:
    """A tokenizer whose pieces are words; what it does not know is piece 0 and keeps its text as a source."""

    unk_id = 0
    words = ("<unk>", "<s>", "</s>", "▁the", "▁dog", "▁der", "▁Hund", "▁")

    def encode_pieces(self, text: str) -> list[str]:
        return [f"▁{word}" for word in text.split()]

    def decode_pieces(self, pieces: list[str]) -> str:
        return "".join(pieces).replace("▁", " ").strip()

    def pieces(self, ids: list[int]) -> list[str]:
        return [self.words[piece] for piece in ids]

    def decode(self, ids: list[int]) -> str:
        return self.decode_pieces([piece.replace("<unk>", " ⁇ ") for piece in self.pieces(ids)])


class Run:
    """As much of a bundle as a linker needs."""

    class tokenizers:
        source = target = Pieces()


def linker(links: list[list[int]], tag: int | None = None, replace_unknown: bool = True) -> Linker:
    made = Linker(Run(), "1.1", tag, replace_unknown)  # type: ignore[arg-type]
    made._aligner = lambda pairs: links
    return made


def test_words_are_linked() -> None:
    found = linker([[1, 0]])([("the dog", [3, 4], [6, 5])])
    assert found == [LinkedText("Hund der", ((0, 1), (1, 0)), 2, 2, ((4, 7, 0, 4), (0, 3, 5, 8)))]


def test_the_tag_is_no_word() -> None:
    assert linker([[2, 1]], tag=99)([("the dog", [99, 3, 4], [6, 5])])[0].links == ((0, 1), (1, 0))


def test_an_unknown_piece_becomes_the_word_that_it_comes_from() -> None:
    found = ("the 犬 </s> dog", [3, 7, 0, 7, 0, 4], [5, 7, 0, 7, 0])
    assert linker([[0, 1, 1, 2, 2]])([found])[0].text == "der 犬 </s>"
    assert linker([[0, 1, 1, 2, 2]], replace_unknown=False)([found])[0].text.count("⁇") == 2


def test_words_of_parts_are_counted_through() -> None:
    parts = [LinkedText("a b", ((0, 1), (1, 0)), 2, 2), LinkedText("", (), 3, 0), LinkedText("c", ((0, 0),), 1, 1)]
    assert join_links(parts, [" ", " ", ""], [" ", " ", ""]) == [(0, 1), (1, 0), (5, 2)]
    # Without white space between them, the last word of a part and the first of the next are one.
    assert join_links([parts[0], parts[2]], ["", ""], ["", ""]) == [(0, 1), (1, 0), (1, 1)]


def test_every_target_word_of_a_real_run_is_linked(tiny_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    translator = Translator.load(tiny_run, device="cpu")
    lines = ["a dog runs.", "", "the cat sleeps in the house. " * 12]
    details: Any = list(translator.translate_in_detail(lines, alignment="1.2"))
    assert details[1].translations[0].alignment == ()
    for place in (0, 2):
        source_words = len(lines[place].split())
        best = details[place].translations[0]
        linked = {target for _, target in best.alignment}
        assert linked == set(range(len(linked))) != set()
        assert max(source for source, _ in best.alignment) < source_words
    assert "translated in parts" in capsys.readouterr().err


def test_pieces_are_found_in_their_text() -> None:
    pieces = ["▁A", "▁do", "g", "▁", "🙂", "."]
    spans = piece_spans(pieces, "  A   dog 🙂.")
    assert spans == [(2, 3), (6, 8), (8, 9), (10, 10), (10, 11), (11, 12)]
    # Normalisation wrote three characters for one: what follows is found nearly.
    assert piece_spans(["▁ffi", "▁dog"], "\ufb03 dog") == [(0, 2), (3, 5)]
    assert piece_spans([], "") == []


def test_characters_of_parts_count_from_the_start_of_the_line() -> None:
    parts = [LinkedText("Ab.", characters=((0, 2, 0, 3),)), LinkedText("C.", characters=((0, 1, 0, 2),))]
    assert join_characters(parts, ["a.", "c"], ["  ", ""], [" ", ""], 3) == [(3, 5, 0, 3), (7, 8, 4, 6)]
