"""The page in a real browser: the grid, the enlarged head and the lines show the weights of the maps."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.inspection.browser import Browser
from translator.config import KINDS, Head
from translator.inspection import AttentionMaps
from translator.inspection.page.encoding import figures, quantise

NAMES = {
    "encoder": "encoder self-attention",
    "decoder": "masked decoder self-attention",
    "cross": "cross-attention",
}
SOURCE = ["▁A", "▁dog", "▁run", "s", ".", "</s>"]
TARGET = ["<s>", "▁Ein", "▁Hund", "▁renn", "t", "."]
PREDICTED = ["▁Ein", "▁Hund", "▁renn", "t", ".", "</s>"]
# The pieces of each word, by the side's name.
WORDS = {
    "source": [[0], [1], [2, 3, 4], [5]],
    "target": [[0], [1], [2], [3, 4, 5]],
    "predicted": [[0], [1], [2, 3, 4], [5]],
}

Opener = Callable[..., AttentionMaps]


def reading(browser: Browser) -> dict[str, str]:
    return browser.run("return {...document.getElementById('readout').dataset}")


def lines(browser: Browser) -> int:
    return int(browser.run("return document.getElementById('strokes').dataset.lines"))


def shown(maps: AttentionMaps, head: Head) -> NDArray[np.float64]:
    """The weights that the page decodes from its bytes, [Lq, Lk]."""
    read = (quantise(maps.of(head)) / 255.0) ** 2
    return read / read.sum(-1, keepdims=True)


def read_map(browser: Browser, rows: int, columns: int) -> NDArray[np.float64]:
    """The weight of every cell of the open map, read with the keyboard."""
    found = np.zeros((rows, columns))
    for _ in range(rows):
        browser.press("ArrowUp")
    for row in range(rows):
        browser.press("Home")
        for column in range(columns):
            at = reading(browser)
            assert (at["row"], at["column"]) == (str(row), str(column))
            found[row, column] = float(at["weight"])
            browser.press("ArrowRight")
        browser.press("ArrowDown")
    return found


def test_grid_has_every_head_of_ragged_layers(browser: Browser, open_page: Opener) -> None:
    maps = open_page(
        heads={"encoder": (2, 3), "decoder": (1, 0, 2), "cross": (3, 1)}, alignment_head=Head("cross", 1, 3)
    )
    found = browser.run(
        "return [...document.querySelectorAll('[role=grid]')].map(grid => [grid.getAttribute('aria-label'),"
        "[...grid.querySelectorAll('[role=row]')].map(row => [...row.querySelectorAll('[role=gridcell] > button')]"
        ".map(cell => [cell.getAttribute('aria-label'), cell.title]))])"
    )
    assert [name for name, _ in found] == list(NAMES.values())
    for (_, rows), kind in zip(found, KINDS, strict=True):
        assert [len(row) for row in rows] == [len(layer) for layer in maps.weights[kind]]
        for layer, row in enumerate(rows, start=1):
            for number, (name, title) in enumerate(row, start=1):
                own = f"{NAMES[kind]}, layer {layer}, head {number}"
                is_aligned = (kind, layer, number) == ("cross", 1, 3)
                assert name == own + (", the head of alignments" if is_aligned else "")
                assert title.startswith(f"{own}: mean entropy ") and " nats, mean maximum 0." in title


def test_small_maps_have_a_pixel_a_weight(browser: Browser, open_page: Opener) -> None:
    maps = open_page()
    head = Head("decoder", 2, 1)
    browser.run("document.querySelector(arguments[0]).scrollIntoView()", f"[data-head='{head}']")
    pixels = browser.wait(
        "(() => { const cell = document.querySelector(arguments[0]); if (!cell.dataset.rows) return null;"
        "const canvas = cell.firstChild; return [...canvas.getContext('2d')"
        ".getImageData(0, 0, canvas.width, canvas.height).data]; })()",
        f"[data-head='{head}']",
    )
    image = np.array(pixels, float).reshape(*maps.of(head).shape, 4)
    lightness = image[..., :3] @ [0.2126, 0.7152, 0.0722]
    seen = np.tril(np.ones(lightness.shape, bool))
    # In the light theme, more weight is darker.
    order = np.argsort(shown(maps, head)[seen])
    assert np.all(np.diff(lightness[seen][order]) <= 1e-9)
    assert len({tuple(pixel) for pixel in image[~seen]}) == 1


def test_click_enlarges_and_escape_returns(browser: Browser, open_page: Opener) -> None:
    maps = open_page()
    browser.click("[data-head='cross.2.1']")
    assert browser.run("return document.querySelector('dialog').open")
    assert browser.texts("#enlarged-title") == ["Cross-attention, layer 2, head 1"]
    assert browser.texts("#row-labels > span") == PREDICTED
    assert browser.texts("#column-labels > span") == SOURCE
    size = browser.run("const map = document.getElementById('map'); return [map.clientWidth, map.clientHeight]")
    # 6 x 6 cells of the largest size.
    assert size == [264, 264]
    browser.point("#map", -22, 22)
    weights = shown(maps, Head("cross", 2, 1))
    at = reading(browser)
    assert (at["row"], at["column"], at["masked"]) == ("3", "2", "false")
    assert float(at["weight"]) == pytest.approx(weights[3, 2], abs=1e-6)
    assert browser.texts("#readout")[0].endswith(" · reads ▁renn, predicts t → looks at ▁run")
    assert browser.texts("#row-looks td:first-child") == [SOURCE[place] for place in np.argsort(-weights[3])]
    browser.leave()
    assert not browser.run("return document.querySelector('dialog').open")
    assert browser.focused()["head"] == "cross.2.1"


@pytest.mark.parametrize(("kind", "rows", "columns"), [("encoder", SOURCE, SOURCE), ("decoder", TARGET, TARGET)])
def test_axes_of_self_attention(
    browser: Browser, open_page: Opener, kind: str, rows: list[str], columns: list[str]
) -> None:
    open_page()
    browser.click(f"[data-head='{kind}.1.2']")
    assert browser.texts("#row-labels > span") == rows
    assert browser.texts("#column-labels > span") == columns


def test_masked_cells_do_not_look_like_zero(browser: Browser, open_page: Opener, make_maps: Any) -> None:
    weights = make_maps().weights
    weights["decoder"][0][0] = np.eye(6)
    open_page(weights=weights)
    browser.click("[data-head='decoder.1.1']")
    cells = browser.run(
        "const map = document.getElementById('map'), size = map.width / 6;"
        "return [[3, 1], [1, 3], [4, 0], [0, 4]].map(([row, column]) => [...map.getContext('2d')"
        ".getImageData(column * size + 4, row * size + 4, size - 8, size - 8).data].join())"
    )
    assert cells[0] == cells[2]
    assert cells[1] != cells[0] != cells[3]
    browser.point("#map", 22, -66)
    assert browser.texts("#readout") == ["masked · reads ▁Ein, predicts ▁Hund → looks at ▁renn"]
    browser.point("#map", -66, 22)
    assert browser.texts("#readout") == ["0 · reads ▁renn, predicts t → looks at ▁Ein"]


def test_neighbour_heads(browser: Browser, open_page: Opener) -> None:
    open_page()
    browser.click("[data-head='encoder.2.3']")
    seen = []
    for key in ("n", "n", "p"):
        browser.press(key)
        seen.append(browser.run("return document.querySelector('dialog').dataset.head"))
    browser.click("#next")
    browser.press("ArrowRight")
    seen.append(browser.run("return document.querySelector('dialog').dataset.head"))
    assert seen == ["decoder.1.1", "decoder.1.2", "decoder.1.1", "decoder.2.1"]
    browser.leave()
    assert browser.focused()["head"] == "decoder.2.1"


def test_merging_makes_words_and_rows_still_sum_to_one(browser: Browser, open_page: Opener) -> None:
    maps = open_page()
    for kind, row_side, column_side in (("cross", "predicted", "source"), ("decoder", "target", "target")):
        head = Head(kind, 1, 2)
        browser.click(f"[data-head='{head}']")
        if kind == "cross":
            browser.click("dialog .merge")
            browser.click("#map")
        assert browser.texts("#column-labels > span") == {
            "source": ["A", "dog", "runs.", "</s>"], "target": ["<s>", "Ein", "Hund", "rennt."],
        }[column_side]  # fmt: skip
        read = read_map(browser, 4, 4)
        pieces = shown(maps, head)
        expected = [
            [
                np.mean([sum(pieces[row, column] for column in columns) for row in rows])
                for columns in WORDS[column_side]
            ]
            for rows in WORDS[row_side]
        ]
        np.testing.assert_allclose(read, expected, rtol=0, atol=1e-6)
        np.testing.assert_allclose(read.sum(1), 1.0, rtol=0, atol=1e-6)
        browser.leave()
    cell = browser.wait("document.querySelector('[data-rows]')") and browser.run(
        "return {...document.querySelector('[data-head=\"encoder.1.1\"]').dataset}"
    )
    assert (cell["rows"], cell["columns"]) == ("4", "4")
    browser.click("#merge")
    browser.click("[data-head='cross.1.2']")
    assert browser.texts("#column-labels > span") == SOURCE
    np.testing.assert_allclose(read_map(browser, 6, 6), shown(maps, Head("cross", 1, 2)), rtol=0, atol=1e-6)


def expected_lines(maps: AttentionMaps, heads: list[Head], threshold: float, row: Any = slice(None)) -> int:
    return sum(int((shown(maps, head)[row] >= threshold).sum()) for head in heads)


def test_switching_heads_changes_the_lines(browser: Browser, open_page: Opener) -> None:
    maps = open_page(alignment_head=Head("cross", 1, 3))
    ink = "const canvas = document.getElementById('strokes'); return canvas.toDataURL()"
    heads = [Head("cross", 1, number) for number in (1, 2, 3)]
    browser.click("#lines-tab")
    assert lines(browser) == expected_lines(maps, heads, 0.1)
    all_ink = browser.run(ink)
    browser.click("#head-switches [data-head='cross.1.2']")
    assert lines(browser) == expected_lines(maps, [heads[0], heads[2]], 0.1)
    assert browser.run(ink) != all_ink
    browser.click("#no-heads")
    assert lines(browser) == 0
    assert not browser.run(
        "const canvas = document.getElementById('strokes'); return canvas.getContext('2d')"
        ".getImageData(0, 0, canvas.width, canvas.height).data.some(value => value)"
    )
    browser.click("#head-switches [data-head='cross.1.3']")
    assert lines(browser) == expected_lines(maps, heads[2:], 0.1)
    browser.click("#all-heads")
    assert browser.run(ink) == all_ink
    browser.run("const slider = document.getElementById('threshold'); slider.focus()")
    browser.press(*["ArrowRight"] * 15)
    assert browser.texts("#threshold-value") == ["0.25"]
    assert lines(browser) == expected_lines(maps, heads, 0.25)


def test_lines_of_another_kind_and_layer(browser: Browser, open_page: Opener) -> None:
    maps = open_page()
    browser.click("#lines-tab")
    assert (browser.texts("#looking .word"), browser.texts("#looked .word")) == (PREDICTED, SOURCE)
    choose = (
        "const box = document.getElementById(arguments[0]); box.value = arguments[1];"
        "box.dispatchEvent(new Event('change'))"
    )
    browser.run(choose, "lines-kind", "encoder")
    browser.run(choose, "lines-layer", "2")
    assert (browser.texts("#looking .word"), browser.texts("#looked .word")) == (SOURCE, SOURCE)
    assert lines(browser) == expected_lines(maps, [Head("encoder", 2, number) for number in (1, 2, 3)], 0.1)
    assert browser.texts("#head-switches label") == ["head 1", "head 2", "head 3"]
    browser.click("#merge")
    assert browser.texts("#looking .word") == ["A", "dog", "runs.", "</s>"]


def test_a_word_shows_where_each_head_looks(browser: Browser, open_page: Opener) -> None:
    maps = open_page()
    heads = [Head("cross", 2, number) for number in (1, 2)]
    browser.click("#lines-tab")
    everything = lines(browser)

    def looks() -> list[list[str]]:
        return browser.run(
            "return [...document.querySelectorAll('#looks tr')].map(row => [row.dataset.head,"
            "...[...row.querySelectorAll('.cut')].map(word => word.textContent)])"
        )

    browser.point("#looking [data-index='2']")
    assert lines(browser) == expected_lines(maps, heads, 0.1, 2) < everything
    assert browser.texts("#looks caption") == ["reads ▁Hund, predicts ▁renn → looks at"]
    rows = [shown(maps, head)[2] for head in heads]
    assert looks() == [
        [str(head), *(SOURCE[place] for place in np.argsort(-row)[:4] if row[place] >= 0.01)]
        for head, row in zip(heads, rows, strict=True)
    ]
    browser.point("h1")
    assert lines(browser) == everything
    # The keyboard: one tab stop per column, arrows within a column and between columns.
    browser.run("document.querySelector('#looking .word').focus()")
    browser.press("ArrowDown", "ArrowRight")
    assert browser.focused()["index"] == "1"
    assert lines(browser) == expected_lines(maps, heads, 0.1, (slice(None), 1))
    columns = [shown(maps, head)[:, 1] for head in heads]
    assert browser.texts("#looks caption") == ["▁dog ← is looked at by"]
    assert looks() == [
        [str(head), *(PREDICTED[place] for place in np.argsort(-column)[:4] if column[place] >= 0.01)]
        for head, column in zip(heads, columns, strict=True)
    ]
    browser.press("Escape")
    assert lines(browser) == everything


def test_a_slider_moves_through_the_checkpoints(browser: Browser, open_page: Opener, make_maps: Any) -> None:
    through = {10: make_maps(seed=5), 200: make_maps(seed=6)}
    maps = open_page(checkpoints=through)
    head = Head("cross", 1, 1)
    browser.run("document.querySelector(arguments[0]).scrollIntoView()", f"[data-head='{head}']")
    browser.run("document.getElementById('checkpoint').focus()")
    for name, expected, key in (("final weights", maps, None), ("step 200", through[200], "ArrowLeft"),
                                ("step 10", through[10], "ArrowLeft")):  # fmt: skip
        if key is not None:
            browser.press(key)
        assert browser.texts("#checkpoint-name") == [name]
        entropy = figures(expected.of(head), "cross")[0]
        title = browser.run("return document.querySelector(arguments[0]).title", f"[data-head='{head}']")
        assert f"mean entropy {entropy:.2f}" in title
        order = np.argsort(shown(expected, head).ravel())
        # More weight is darker; the small map is drawn anew when it is next in view.
        browser.wait(
            "(() => { const canvas = document.querySelector(arguments[0]).firstChild; if (!canvas.width) return null;"
            "const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;"
            "const light = arguments[1].map((place) => 0.2126 * pixels[4 * place] + 0.7152 * pixels[4 * place + 1]"
            " + 0.0722 * pixels[4 * place + 2]);"
            "return light.every((value, index) => index === 0 || value <= light[index - 1] + 1e-9) || null; })()",
            f"[data-head='{head}']", order.tolist(),
        )  # fmt: skip


def test_without_checkpoints_there_is_no_slider(browser: Browser, open_page: Opener) -> None:
    open_page()
    assert browser.run("return document.getElementById('checkpoints').hidden")
