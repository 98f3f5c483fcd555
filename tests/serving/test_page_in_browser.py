"""The page of the server in a real browser."""

import shutil
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
    page.run(
        "window.bars = []; const bar = document.getElementById('progress');"
        "new MutationObserver(() => bars.push(bar.getAttribute('value'))).observe(bar, {attributeFilter: ['value']})"
    )
    page.find("#file").send_keys(str(tmp_path / "text.txt"))
    page.wait("!document.getElementById('download').hidden")
    assert page.texts("#file-status") == ["text.txt is translated."]
    assert page.run("return bars") == ["0", "1", None]
    translated = server.post("/translate", q=f"{LINE}\n", source="en", target="de")[1]["translatedText"]
    assert server.get(page.run("return new URL(document.getElementById('download').href).pathname")) == (
        200,
        translated,
    )


def test_a_file_that_cannot_be_translated_says_why(page: Browser, tmp_path: Path) -> None:
    (tmp_path / "program.exe").write_bytes(b"MZ")
    page.find("#file").send_keys(str(tmp_path / "program.exe"))
    page.wait("document.getElementById('file-status').textContent.includes('expected .txt')")
    (tmp_path / "large.txt").write_text("a" * 800_001)
    page.find("#file").send_keys(str(tmp_path / "large.txt"))
    page.wait("document.getElementById('file-status').textContent.includes('larger than 800,000 bytes')")
    assert page.find("#download").get_attribute("hidden")
    page.logged("browser")  # Chromium logs the refusal.


def test_the_keyboard_reaches_everything(page: Browser) -> None:
    page.control("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    assert page.focused()["id"] == "text"
    page.press(*LINE)
    found = answer(page)
    page.press("Tab", "Tab")
    assert page.focused()["id"] == "copy"
    page.press("Enter")
    page.wait("document.getElementById('copy').textContent === 'Copied'")
    assert page.run("return navigator.clipboard.readText()") == found
    seen = []
    for _ in range(12):
        page.press("Tab")
        seen.append(page.focused()["id"] or page.focused()["name"])
    assert [name for name in seen if name != "body"][:4] == ["look", "file", "summary", "summary"]
    assert {"theme", "source", "target"} <= set(seen)


@pytest.fixture
def own_server(tiny_run: Path, tmp_path: Path) -> Iterator[Server]:
    """A server that needs a key, takes 40 characters and claims to translate into Arabic."""
    run = tmp_path / "tiny"
    shutil.copytree(tiny_run, run)
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("target_language: de", "target_language: ar"))
    server = Server(run, "--max-characters", 40, environment={"TRANSLATOR_API_KEYS": "secret"})
    yield server
    server.stop()


def test_keys_limits_directions_and_a_server_that_dies(browser: Browser, own_server: Server) -> None:
    browser.open(f"{own_server.url}/")
    browser.wait("document.body.dataset.ready")
    directions = "return ['text', 'answer'].map((id) => document.getElementById(id)).map((own) => [own.dir, own.lang])"
    assert browser.run(directions) == [["ltr", "en"], ["rtl", "ar"]]

    enter(browser, LINE)
    browser.wait("document.getElementById('error').textContent.includes('key')")
    browser.find("#key").send_keys("secret")
    browser.press("Tab")
    first = answer(browser)
    assert browser.texts("#error") == [""]
    assert not any("secret" in text for text in browser.texts("#curl, #python"))
    assert browser.texts("#limit") == ["11 of at most 40 characters"]

    enter(browser, "a" * 41)
    browser.wait("document.getElementById('error').textContent.includes('longer than')")
    assert browser.texts("#answer, #limit") == ["41 of at most 40 characters", ""]

    own_server.process.kill()
    own_server.process.wait()
    enter(browser, LINE)
    browser.wait("document.getElementById('error').textContent.includes('does not answer')")
    assert browser.texts("#answer") == [""]
    again = Server(own_server.run, "--port", own_server.port, environment={"TRANSLATOR_API_KEYS": "secret"})
    try:
        assert answer(browser) == first
        assert browser.texts("#error") == [""]
    finally:
        again.stop()
