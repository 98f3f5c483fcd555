"""The page of the server in a real browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.inspection.browser import Browser
from tests.serving.conftest import Server

pytestmark = pytest.mark.slow
LINE = "a dog runs."
HOSTILE = "<img src=x onerror='document.title=1'><b>a</b>\u202eb" + "x" * 5_000
# Requests for translations are answered by the test: `answers[0]('text')` is the answer to the first.
STAND_IN = """
window.answers = [];
const real = window.fetch;
window.fetch = (path, request) => path !== 'translate' ? real(path, request)
  : new Promise((done) => answers.push((text) => done(new Response(JSON.stringify({translatedText: text})))));
"""


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Browser]:
    """The open page; after the test, check that it loaded nothing from elsewhere and logged no error."""
    browser.open(f"{server.url}/")
    browser.wait("document.body && document.body.dataset.ready")
    yield browser
    assert [url for url in browser.requests() if not url.startswith((f"{server.url}/", "data:", "about:"))] == []
    assert [entry["message"] for entry in browser.logged("browser") if entry["level"] in ("SEVERE", "WARNING")] == []


def enter(page: Browser, text: str) -> None:
    """Put text into the box as if it were pasted."""
    page.run(
        "const box = document.getElementById('text'); box.value = arguments[0]; box.dispatchEvent(new Event('input'))",
        text,
    )


def answer(page: Browser) -> str:
    """Return the translation once it is there."""
    page.wait("document.getElementById('answer').ariaBusy === 'false' && document.getElementById('answer').textContent")
    return page.texts("#answer")[0]


def test_typing_translates(page: Browser, server: Server) -> None:
    page.find("#text").send_keys(LINE)
    found = answer(page)
    assert (200, {"translatedText": found}) == server.post("/translate", q=LINE, source="en", target="de")
    enter(page, "")
    page.wait("document.getElementById('answer').textContent === ''")
    assert page.find("#copy").get_attribute("disabled")


def test_an_older_answer_never_replaces_a_newer_one(page: Browser) -> None:
    page.run(STAND_IN)
    enter(page, "one")
    page.wait("answers.length === 1")
    enter(page, "two")
    page.wait("answers.length === 2")
    page.run("answers[1]('new')")
    assert answer(page) == "new"
    page.run("answers[0]('old'); return new Promise((done) => setTimeout(done, 50))")
    assert page.texts("#answer") == ["new"]
    enter(page, "three")
    page.wait("answers.length === 3")
    enter(page, "")
    page.run("answers[2]('late'); return new Promise((done) => setTimeout(done, 50))")
    assert page.texts("#answer") != ["late"]


def test_markup_in_text_and_answer_is_text(page: Browser) -> None:
    page.run(STAND_IN)
    enter(page, HOSTILE)
    page.wait("answers.length === 1")
    page.run("answers[0](arguments[0])", HOSTILE)
    assert answer(page) == HOSTILE
    assert page.run("return document.querySelectorAll('img, #answer b, #answer img').length") == 0
    assert page.run("return document.title") == "Translator"
    width = "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    assert page.run(width), "a long word makes the page wider than the window"


def test_a_file_is_translated(page: Browser, server: Server, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(f"{LINE}\n")
    page.find("#file").send_keys(str(tmp_path / "text.txt"))
    page.wait("!document.getElementById('download').hidden")
    assert page.texts("#file-status") == ["text.txt is translated."]
    translated = server.post("/translate", q=f"{LINE}\n", source="en", target="de")[1]["translatedText"]
    assert server.get(page.run("return new URL(document.getElementById('download').href).pathname")) == (
        200,
        translated,
    )
