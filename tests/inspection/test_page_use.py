"""The page in a real browser, for any text and every user: keyboard, themes, colours, long sentences, phones."""

from collections.abc import Callable

import numpy as np
import pytest

from tests.inspection.browser import Browser
from translator.config import KINDS, Head
from translator.inspection import AttentionMaps

Opener = Callable[..., AttentionMaps]

# Colours as dichromats see them, in linear RGB (Machado, Oliveira and Fernandes 2009, severity 1.0).
VISION = {
    "trichromat": np.eye(3),
    "protanope": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranope": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanope": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def test_hostile_text_is_shown_and_does_nothing(browser: Browser, open_page: Opener) -> None:
    hostile = [
        "▁</script><script>window.pwned=1</script>",
        '▁<img src=x onerror="window.pwned=1">',
        "▁<svg/onload=window.pwned=1>",
        "javascript:window.pwned=1",
        "▁<style>*{display:none}</style>",
        "▁{{data}}",
    ]
    text = " ".join(piece.removeprefix("▁") for piece in hostile)
    open_page(source=hostile, target=hostile, source_text=text, target_text=text, run="<script>window.pwned=1</script>")
    assert browser.texts("#run") == ["<script>window.pwned=1</script>"]
    assert browser.texts("#source-text, #target-text") == [text, text]
    browser.click("[data-head='cross.2.1']")
    assert browser.texts("#column-labels > span") == [*hostile, "</s>"]
    assert browser.texts("#row-labels > span") == [*hostile, "</s>"]
    browser.point("#map", 0, 0)
    browser.leave()
    browser.click("#lines-tab")
    assert browser.texts("#looking .word") == [*hostile, "</s>"]
    browser.point("#looking [data-index='1']")
    browser.click("#merge")
    browser.point("#looked [data-index='1']")
    assert browser.run("return typeof window.pwned") == "undefined"
    assert browser.run("return document.querySelectorAll('img, main svg[onload], main script, main style').length") == 0
    assert browser.run("return getComputedStyle(document.body).display") == "block"


def test_the_policy_stops_what_comes_into_the_page(browser: Browser, open_page: Opener) -> None:
    open_page()
    browser.run(
        "const added = document.createElement('script'); added.textContent = 'window.pwned = 1';"
        "document.body.append(added);"
        "document.body.insertAdjacentHTML('beforeend', '<b onclick=\"window.pwned = 1\" id=bait></b>');"
        "document.getElementById('bait').click()"
    )
    assert browser.run("return typeof window.pwned") == "undefined"
    refused = [entry["message"] for entry in browser.logged("browser")]
    assert len(refused) == 2 and all("Content Security Policy" in message for message in refused)


@pytest.mark.parametrize(
    ("piece", "seen"),
    [
        ("▁a\u202eb", "▁aU+202Eb"),
        ("▁\x00\x1b\x7f\x85", "▁U+0000U+001BU+007FU+0085"),
        ("▁a\u2028b\n", "▁aU+2028bU+000A"),
        ("\ud800x", "U+D800x"),
        ("\u0301", "◌\u0301"),
        ("▁\u00a0", "▁U+00A0"),
        ("\U0001f469\u200d\U0001f680", "\U0001f469\u200d\U0001f680"),
        ("▁می\u200cخواهم", "▁می\u200cخواهم"),
        ("▁", "▁"),
    ],
)
def test_what_cannot_be_seen_is_spelled_out(browser: Browser, open_page: Opener, piece: str, seen: str) -> None:
    open_page(source=["▁x", piece])
    browser.click("[data-head='encoder.1.1']")
    assert browser.texts("#row-labels > span") == ["▁x", seen, "</s>"]
    # Right-to-left text does not affect the text around it.
    assert (
        browser.run(
            "return [...document.querySelectorAll('#row-labels bdi')]"
            ".map(text => [text.dir, getComputedStyle(text).unicodeBidi])"
        )
        == [["auto", "isolate"]] * 3
    )


def reached_by_tab(browser: Browser, count: int) -> list[str]:
    """Press Tab repeatedly and return what has the focus each time; the focus must be visible."""
    found = []
    for _ in range(count):
        browser.press("Tab")
        at = browser.focused()
        list_of = browser.run("return document.activeElement.closest('ul')?.id")
        found.append(at.get("head") or at["id"] or list_of or at["name"])
        assert browser.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid", found[-1]
    return found


def test_everything_is_reached_by_keyboard(browser: Browser, open_page: Opener) -> None:
    maps = open_page()
    # One tab stop for the two views, and one for each grid.
    stops = ["theme", "maps-tab", "merge", "summary", "encoder.1.1", "decoder.1.1", "cross.1.1"]
    assert reached_by_tab(browser, len(stops)) == stops
    browser.press("ArrowRight", "ArrowRight", "ArrowRight", "ArrowDown")
    assert browser.focused()["head"] == "cross.2.2"
    browser.press("Home", "ArrowUp", "End")
    assert browser.focused()["head"] == "cross.1.3"
    browser.press("Enter")
    assert browser.focused()["id"] == "map"
    browser.press("Home", "ArrowDown", "ArrowDown", "ArrowRight", "ArrowLeft", "ArrowRight", "ArrowUp")
    at = browser.run("return {...document.getElementById('readout').dataset}")
    assert (at["head"], at["row"], at["column"]) == ("cross.1.3", "1", "1")
    assert float(at["weight"]) == pytest.approx(maps.of(Head("cross", 1, 3))[1, 1], abs=0.01)
    browser.press("Shift+Tab")
    assert browser.focused()["id"] == "close"
    browser.press("Shift+Tab", "Space")
    assert len(browser.texts("#column-labels > span")) == 4
    browser.leave()
    assert browser.focused()["head"] == "cross.1.3"
    browser.run("document.getElementById('maps-tab').focus()")
    browser.press("ArrowRight")
    assert browser.focused()["id"] == "lines-tab"
    assert browser.run("return document.getElementById('maps').hidden && !document.getElementById('lines').hidden")
    stops = ["merge", "summary", "lines-kind", "lines-layer", "threshold", "all-heads", "no-heads"]
    stops += ["cross.2.1", "cross.2.2", "looking", "looked"]
    assert reached_by_tab(browser, len(stops)) == stops
    before = browser.run("return document.getElementById('strokes').dataset.lines")
    browser.run("document.querySelector('#head-switches input').focus()")
    browser.press("Space")
    assert browser.run("return document.getElementById('strokes').dataset.lines") != before


def test_themes_follow_the_system_until_one_is_chosen(browser: Browser, open_page: Opener) -> None:
    def looks() -> tuple[str, str, bool]:
        pixel = "document.querySelector('.scale canvas').getContext('2d').getImageData(0, 0, 1, 1).data[0] < 128"
        return browser.run(
            f"return [document.documentElement.dataset.theme, getComputedStyle(document.body).backgroundColor, {pixel}]"
        )

    def prefer(theme: str) -> None:
        browser.control("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])

    light, dark = ["light", "rgb(252, 252, 250)", False], ["dark", "rgb(20, 22, 27)", True]
    try:
        prefer("dark")
        open_page()
        assert looks() == dark
        prefer("light")
        browser.wait("document.documentElement.dataset.theme === 'light'")
        assert looks() == light
        browser.click("#theme")
        assert looks() == dark
        for theme in ("dark", "light"):
            prefer(theme)
            browser.run("return new Promise(requestAnimationFrame)")
        assert looks() == dark
        browser.click("#theme")
        assert looks() == light
    finally:
        browser.control("Emulation.setEmulatedMedia", features=[])


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("vision", VISION)
def test_more_weight_is_told_by_lightness_alone(browser: Browser, open_page: Opener, theme: str, vision: str) -> None:
    open_page()
    if browser.run("return document.documentElement.dataset.theme") != theme:
        browser.click("#theme")
    ramp = browser.run(
        "return [...document.querySelector('.scale canvas').getContext('2d').getImageData(0, 0, 256, 1).data]"
    )
    colours = np.array(ramp).reshape(256, 4)[:, :3] / 255.0
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    luminance = np.clip(linear @ np.transpose(VISION[vision]), 0.0, 1.0) @ [0.2126, 0.7152, 0.0722]
    lightness = 116.0 * np.cbrt(np.maximum(luminance, 0.008856)) - 16.0
    # In every sixteenth of the scale, and clearly from end to end.
    steps = np.diff(lightness[::15]) * (1 if theme == "dark" else -1)
    assert steps.min() > 0.5
    assert steps.sum() > 70.0


def test_a_hundred_pieces_open_and_answer(browser: Browser, open_page: Opener) -> None:
    words = [f"▁word{place}" for place in range(99)]
    maps = open_page(source=words, target=words, heads={kind: (8,) * 6 for kind in KINDS})
    assert len(browser.texts(".cell")) == 144
    drawn = browser.run("return document.querySelectorAll('.cell[data-rows]').length")
    browser.wait("document.querySelectorAll('.cell[data-rows]').length > 7")
    assert drawn < 100
    browser.run("document.querySelector(\"[data-head='cross.6.8']\").scrollIntoView()")
    browser.wait("document.querySelector(\"[data-head='cross.6.8']\").dataset.rows")
    browser.click("[data-head='cross.6.8']")
    browser.press("End", *["ArrowDown"] * 50)
    at = browser.run("return {...document.getElementById('readout').dataset}")
    assert (at["row"], at["column"]) == ("50", "99")
    assert float(at["weight"]) == pytest.approx(maps.of(Head("cross", 6, 8))[50, 99], abs=0.005)
    for keys in ([], ["ArrowUp"] * 30 + ["ArrowLeft"] * 60):
        browser.press(*keys)
        # The cell that the cursor moves to is visible, not covered by the labels.
        above = browser.run(
            "const box = document.getElementById('cursor').getBoundingClientRect();"
            "return document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2).id"
        )
        assert above == "map"
    browser.leave()
    browser.run("scrollTo(0, 0)")
    browser.click("#lines-tab")
    browser.point("#looking [data-index='98']")
    assert browser.run("return document.querySelectorAll('#looks tr').length") == 8
    assert browser.run("return document.querySelectorAll('*').length") < 2500


@pytest.mark.parametrize("view", ["maps", "lines", "head"])
def test_a_telephone_scrolls_only_what_is_wide(browser: Browser, open_page: Opener, view: str) -> None:
    try:
        browser.control("Emulation.setDeviceMetricsOverride", width=360, height=740, deviceScaleFactor=2, mobile=True)
        open_page(heads={"encoder": (16, 16), "decoder": (16, 16), "cross": (16, 16)})
        if view == "head":
            browser.click("[data-head='cross.1.1']")
        else:
            browser.click(f"#{view}-tab")
        wide = "const at = document.documentElement; return [at.scrollWidth, at.clientWidth]"
        width, room = browser.run(wide)
        assert width <= room == 360
    finally:
        browser.control("Emulation.clearDeviceMetricsOverride")


def test_a_tap_reads_a_cell_and_a_word(browser: Browser, open_page: Opener) -> None:
    def tap(selector: str, x: int, y: int) -> None:
        corner = "const box = document.querySelector(arguments[0]).getBoundingClientRect(); return [box.x, box.y]"
        left, top = browser.run(corner, selector)
        browser.control("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": left + x, "y": top + y}])
        browser.control("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    try:
        browser.control("Emulation.setDeviceMetricsOverride", width=360, height=740, deviceScaleFactor=2, mobile=True)
        browser.control("Emulation.setTouchEmulationEnabled", enabled=True)
        open_page()
        browser.click("[data-head='cross.1.2']")
        size = browser.run("return document.getElementById('map').clientWidth") // 6
        tap("#map", size + size // 2, 2 * size + size // 2)
        at = browser.wait("document.getElementById('readout').dataset.row === '2' && {...readout.dataset}")
        assert (at["row"], at["column"]) == ("2", "1")
        browser.leave()
        browser.click("#lines-tab")
        browser.run("document.querySelector('#looking').scrollIntoView()")
        tap("#looking [data-index='3']", 8, 8)
        browser.wait("document.activeElement.dataset.index === '3'")
        assert browser.run("return {...document.getElementById('looks').dataset}") == {"side": "looking", "index": "3"}
    finally:
        browser.control("Emulation.setTouchEmulationEnabled", enabled=False)
        browser.control("Emulation.clearDeviceMetricsOverride")


def test_no_text_is_too_small_to_read(browser: Browser, open_page: Opener) -> None:
    open_page(alignment_head=Head("cross", 1, 1))
    browser.click("[data-head='cross.1.1']")
    small = browser.run(
        "const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];"
        "while (walker.nextNode()) { const at = walker.currentNode;"
        "if (at.textContent.trim() && !at.parentElement.closest('script, style, .space'))"
        "found.push(parseFloat(getComputedStyle(at.parentElement).fontSize)); } return Math.min(...found)"
    )
    assert small >= 12.0


def test_printing_draws_every_map_on_light_paper(browser: Browser, open_page: Opener) -> None:
    words = [f"▁word{place}" for place in range(40)]
    open_page(source=words, target=words, heads={kind: (8,) * 4 for kind in KINDS})
    browser.click("#theme")
    browser.run(
        "window.seen = []; addEventListener('beforeprint', () => seen.push("
        "document.querySelectorAll('.cell[data-rows]').length, document.documentElement.dataset.theme))"
    )
    printed = browser.control("Page.printToPDF")
    assert printed["data"]
    assert browser.run("return window.seen") == [96, "light"]
    assert browser.run("return document.documentElement.dataset.theme") == "dark"
