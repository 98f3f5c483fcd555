"""The page of a comparison: loads nothing, shows any text as text, and marks the words that differ."""

import fnmatch
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.inspection.browser import Browser
from translator.evaluation import System, by_frequency, by_length, compare, sentence_chrf
from translator.evaluation.page import comparison_page, document

ROOT = Path(__file__).parents[2]
HOSTILE = [
    "</script><script>window.pwned=1</script>",
    '<img src=x onerror="window.pwned=1">',
    "<!--<script>",
    "]]>{{script}}{{data}}",
    "\u2028\u0000 \u202e\u200b",
    "",
]
REFERENCES = ["the dog sleeps here", "two cats run", "one more line", "四匹の猫が走る", *HOSTILE]
FIRST = ["a dog sleeps there", "two cats run", "one line", "四匹の犬が走る", *HOSTILE]
SECOND = ["the dog sleeps here", "two cats", "one more line", "四匹の猫が走る", *reversed(HOSTILE)]


def page_of(*names: str, sources: list[str] | None = None) -> str:
    lines = [FIRST, SECOND, REFERENCES]
    systems = [System(name, lines[index]) for index, name in enumerate(names)]
    comparison = compare(systems, REFERENCES, sources, tokenize="13a", resamples=10, trials=10)
    return comparison_page(comparison, sentence_chrf(comparison), by_length(comparison), by_frequency(comparison))


@pytest.fixture
def open_page(browser: Browser, tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Open a page; after the test, check that it loaded nothing else and logged no error."""
    path = tmp_path / "compare.html"

    def open_document(document: str) -> None:
        path.write_text(document, encoding="utf-8")
        browser.open(path)
        browser.wait("document.body.dataset.ready")

    yield open_document
    assert [url for url in browser.requests() if not url.startswith("data:")] == [path.as_uri()]
    assert browser.logged("browser") == []
    assert browser.run("return window.pwned") is None


def test_document_names_nothing_to_load() -> None:
    text = page_of("first", "second")
    assert not re.search(r"\w+://|//[\w-]+\.\w|@import|url\(", text.lower())
    assert not re.search(r"\b(fetch|XMLHttpRequest|WebSocket|sendBeacon|import|eval)\s*\(|innerHTML", text)
    assert text.count("</script>") == 2 and text.isprintable() is False
    assert "default-src 'none'; script-src 'sha256-" in text


def test_every_part_is_packaged() -> None:
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    for package in ("translator.evaluation.page", "translator.runtime.page"):
        folder = ROOT / package.replace(".", "/")
        for file in folder.iterdir():
            if file.suffix != ".py" and file.is_file():
                assert any(fnmatch.fnmatch(file.name, pattern) for pattern in data[package]), file


def test_a_large_comparison_keeps_what_differs_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "MOST_SENTENCES", 2)
    text = page_of("first", "second")
    assert '"total":10' in text and text.count('"line":') == 2


def test_words_that_differ_are_marked(browser: Browser, open_page: Any) -> None:
    open_page(page_of("first", "second", sources=[f"source {line}" for line in range(10)]))
    browser.run("const at = document.getElementById('order'); at.value = 'lines'; at.onchange()")

    def marks(line: int) -> list[str]:
        return browser.texts(f".card:nth-child({line}) .translation mark")

    assert marks(1) == ["a", "there", "the", "here"]
    kinds = browser.run("return [...document.querySelectorAll('.card:nth-child(1) mark')].map(at => at.className)")
    assert kinds == ["other", "other", "right", "right"]
    assert marks(2) == ["run"] and marks(3) == ["more"]
    assert marks(4) == ["犬", "猫"]
    assert browser.texts(".card:nth-child(1) dd")[:2] == ["source 0", REFERENCES[0]]
    found = browser.texts(".card .translation:last-child")
    assert found == [line if line.strip() else "(blank)" for line in SECOND]


def test_order_find_and_keys(browser: Browser, open_page: Any) -> None:
    open_page(page_of("first", "second"))
    gaps = [float(text.replace("chrF ", "").replace("−", "-").replace("±", "")) for text in browser.texts(".gap")]
    assert gaps == sorted(gaps, reverse=True) and gaps[0] > 0
    browser.press("j", "j", "k")
    assert browser.run("return document.activeElement === document.getElementById('list').children[0]")
    browser.press("/")
    browser.press("c", "a", "t", "s")
    assert browser.texts(".card .translation") == ["two cats run", "two cats"]
    assert browser.find("#found").text == "1 sentence found"
    browser.press("Escape")
    assert browser.focused()["name"] == "li"


def test_systems_are_chosen_among_three_and_tabs_move_by_arrows(browser: Browser, open_page: Any) -> None:
    open_page(page_of("first", "<b>second</b>", "third"))
    assert browser.texts("#scores tbody th bdi") == ["first", "<b>second</b>", "third"]
    browser.run("const at = document.getElementById('second'); at.value = '0'; at.onchange()")
    assert browser.run("return [first.value, second.value]") == ["1", "0"]
    browser.run("document.getElementById('sentences-tab').focus()")
    browser.press("ArrowRight")
    assert browser.run("return [sentences.hidden, lengths.hidden]") == [True, False]
    browser.press("ArrowRight")
    assert len(browser.texts("#word-groups .value-bar")) % 3 == 0
    for width in (360, 1280):
        browser.control(
            "Emulation.setDeviceMetricsOverride", width=width, height=700, deviceScaleFactor=1, mobile=False
        )
        assert browser.run("return document.documentElement.scrollWidth") <= width
    browser.control("Emulation.clearDeviceMetricsOverride")
