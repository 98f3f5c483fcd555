"""The map in the terminal: numbers below their pieces, lines that fit and align, and escaped control characters."""

import math
import re
import unicodedata
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.inspection.made_up import HOSTILE, made_up_maps
from translator.config import KINDS, Head
from translator.errors import ConfigError
from translator.inspection import AttentionMaps
from translator.inspection.terminal import terminal_map

COLOUR = re.compile(r"\x1b\[(?:48;5;(\d+);38;5;\d+|0)m")
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def columns_of(text: str) -> int:
    """The width of a text in terminal columns (Unicode TR 11; combining marks and joining jamo have none)."""
    marks = sum(unicodedata.category(each) in ("Mn", "Me") or "\u1160" <= each <= "\u11ff" for each in text)
    return len(text) - marks + sum(unicodedata.east_asian_width(each) in "WF" for each in text)


def body(drawn: str) -> list[list[str]]:
    """The lines of each panel, without the heading."""
    return [block.split("\n") for block in drawn.split("\n\n")[1:]]


def labels_above(lines: Sequence[str], rows: int) -> dict[int, str]:
    """The labels written from top to bottom above the rows, by column; for characters one column wide."""
    written: dict[int, str] = {}
    for line in lines[:-rows]:
        for column, character in enumerate(line):
            if character != " ":
                written[column] = written.get(column, "") + character
    return dict(sorted(written.items()))


def letters(count: int) -> list[str]:
    """Distinct pieces of three letters."""
    return [f"\u2581{LETTERS[n // 26]}{LETTERS[n % 26]}" for n in range(count)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", [1, 2])
def test_every_weight_stands_under_its_piece(kind: str, number: int) -> None:
    maps = made_up_maps(letters(9), letters(7)[::-1])
    drawn = terminal_map(maps, Head(kind, 2, number), width=120)
    weights = maps.of(Head(kind, 2, number))
    rows, columns = maps.labels(kind)
    (lines,) = body(drawn)
    above = labels_above(lines, len(rows))
    assert list(above.values()) == list(columns)
    for row, (label, line) in enumerate(zip(rows, lines[-len(rows) :], strict=True)):
        assert line.split()[0] == label
        for column, end in enumerate(above):
            cell = line.ljust(120)[end - 2 : end + 1]
            percent = round(100 * float(weights[row, column]))
            if kind == "decoder" and column > row:
                assert cell == "  -"
            else:
                assert int(re.sub(r"\D", "", cell) or 0) == percent
                assert ("\u2591" in cell) == (0.05 <= weights[row, column] < 0.2)
                assert ("\u2588" in cell) == (weights[row, column] >= 0.7 and percent < 100)
    assert ("-: masked" in drawn) == (kind == "decoder")


def test_the_title_names_head_run_and_sides() -> None:
    lines = terminal_map(made_up_maps(), Head("cross", 2, 1), width=100).split("\n")
    assert lines[0].rstrip() == "cross.2.1 of my_$run$: cross-attention"
    assert lines[1].startswith("rows: ") and "predicted" in lines[1] and "columns: source" in lines[1]


@pytest.mark.parametrize("width", [40, 60, 80, 132])
def test_a_hundred_pieces_are_cut_into_panels(width: int) -> None:
    maps = made_up_maps(letters(100), letters(100))
    for kind in KINDS:
        head = Head(kind, 1, 2)
        rows, columns = maps.labels(kind)
        drawn = terminal_map(maps, head, width=width)
        assert max(map(columns_of, drawn.split("\n"))) <= width
        panels = body(drawn)
        above = [labels_above(lines, len(rows)) for lines in panels]
        assert [label for panel in above for label in panel.values()] == list(columns)
        assert len(panels) == math.ceil(len(columns) / len(above[0])) > 1
        weights = maps.of(head)
        for lines in panels:
            for row, line in enumerate(lines[-len(rows) :]):
                most, piece = re.findall(r"  (\d\.\d\d) (\S+)\s*$", line)[0]
                assert (most, piece) == (f"{weights[row].max():.2f}", columns[int(weights[row].argmax())])


def test_a_shade_without_numbers_is_that_of_its_weight() -> None:
    maps = made_up_maps(letters(30), letters(30))
    weights = np.zeros((2, 31, 31), dtype=np.float32)
    steps = [0.0, 0.04, 0.05, 0.19, 0.2, 0.39, 0.4, 0.69, 0.71, 1.0]
    weights[:, 0, : len(steps)] = steps
    object.__setattr__(maps, "weights", {**maps.weights, "encoder": (weights,)})
    panel = body(terminal_map(maps, Head("encoder", 1, 1), width=90))[0]
    expected = "  " * 2 + "\u2591\u2591" * 2 + "\u2592\u2592" * 2 + "\u2593\u2593" * 2 + "\u2588\u2588" * 2
    assert expected in panel[-31]
    ascii_panel = body(terminal_map(maps, Head("encoder", 1, 1), width=90, encoding="ascii"))[0]
    assert " " * 4 + "...." + "::::" + "****" + "####" in ascii_panel[-31]


def test_colours_are_greys_that_rise_with_the_weight() -> None:
    maps = made_up_maps(letters(9), letters(7))
    for head in (Head("encoder", 1, 1), Head("decoder", 1, 1)):
        weights = maps.of(head)
        plain, coloured = (terminal_map(maps, head, width=120, colour=colour) for colour in (False, True))
        assert "\x1b" not in plain and "\u2591" not in coloured
        (lines,) = body(coloured)
        greys: list[tuple[float, int]] = []
        for row, line in enumerate(lines[-len(weights) :]):
            found = [int(code) for code in COLOUR.findall(line) if code]
            seen = weights[row, : row + 1] if head.kind == "decoder" else weights[row]
            greys += zip(seen.tolist(), found, strict=True)
            # Every colour is reset at the end of the line.
            assert COLOUR.findall(line)[-1] == ""
            shown = re.findall(r"\d+", COLOUR.sub("", line).removeprefix(maps.labels(head.kind)[0][row]))
            assert [int(each) for each in shown] == [round(100 * w) for w in seen.tolist() if round(100 * w)]
        shades = [grey for _, grey in sorted(greys)]
        assert shades == sorted(shades) and len(set(shades)) > 5
        assert all(232 <= grey <= 255 for grey in shades)


def check(maps: AttentionMaps, head: Head, width: int, encoding: str, colour: bool) -> None:
    drawn = terminal_map(maps, head, width, colour, encoding)
    drawn.encode(encoding)
    drawn = COLOUR.sub("", drawn)
    rows = len(maps.labels(head.kind)[0])
    for line in drawn.split("\n"):
        assert columns_of(line) <= width, line
        for character in line:
            assert unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp"), repr(character)
    for lines in body(drawn):
        assert len(lines) > rows


# Any characters but the space, which tokenizers write as U+2581: in a label it would leave a blank line, which `body`
# takes for the end of a panel.
ANY_PIECE = st.text(st.characters(codec=None, exclude_categories=(), exclude_characters=" "), min_size=1, max_size=18)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1", "cp437"])
@pytest.mark.parametrize("width", [20, 33, 80, 200])
def test_hostile_text_fits_and_is_escaped(encoding: str, width: int) -> None:
    maps = made_up_maps(HOSTILE, HOSTILE[::-1], tag="<2de>")
    for kind in KINDS:
        for colour in (False, True):
            check(maps, Head(kind, 1, 1), width, encoding, colour)


@given(st.lists(ANY_PIECE, min_size=1, max_size=12), st.integers(20, 100), st.booleans())
@settings(max_examples=150, deadline=None)
def test_any_text_fits_and_is_escaped(pieces: list[str], width: int, colour: bool) -> None:
    maps = made_up_maps(pieces, pieces[::-1])
    check(maps, Head("cross", 1, 1), width, "utf-8", colour)


def test_wide_and_combining_characters_keep_columns_straight() -> None:
    texts = [
        "\u2581\u5c71\u7530",
        "\u2581e\u0301te\u0301",
        "\u2581o\u20ddn",
        "\u2581\u0e20\u0e32\u0e29\u0e32",
        "\uff21\uff22",
    ]
    maps = made_up_maps(texts, texts)
    (lines,) = body(terminal_map(maps, Head("decoder", 1, 1), width=120))
    # The first masked cell is one cell further to the right in every row.
    ends = [columns_of(line[: line.index(" -") + 2]) for line in lines[-6:-1]]
    assert np.diff(ends).tolist() == [3] * 4


def test_a_narrow_or_unknown_terminal_gets_the_narrowest_map(monkeypatch: pytest.MonkeyPatch) -> None:
    maps, head = made_up_maps(), Head("cross", 1, 1)
    assert terminal_map(maps, head, width=3) == terminal_map(maps, head, width=20)
    monkeypatch.setenv("COLUMNS", "57")
    assert terminal_map(maps, head) == terminal_map(maps, head, width=57)


def test_a_head_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"cross\.3\.1 is not in"):
        terminal_map(made_up_maps(), Head("cross", 3, 1))
