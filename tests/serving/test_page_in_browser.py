"""The page of the server in a real browser."""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.inspection.browser import Browser
from tests.patience import PATIENCE
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
    assert [name for name in seen if name != "body"][:5] == ["more", "look", "file", "summary", "summary"]
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


# What a model could answer: the text of two sentences, and other translations of the first of them.
MODEL = """
const sentences = {'A dog runs.': 'Ein Hund läuft.', 'It barks.': 'Er bellt.'};
const characters = [[0, 1, 0, 3], [2, 5, 4, 8], [6, 10, 9, 14], [10, 11, 14, 15]];
const answers = {
  'A dog runs. It barks.': {translatedText: 'Ein Hund läuft. Er bellt.', characters: [
    [...characters, [12, 14, 16, 18], [15, 20, 19, 24]]]},
  'A dog runs.': {translatedText: 'Ein Hund läuft.', alternatives: ['Der Hund rennt.', 'Ein Hund rennt.']},
  'A dog runs.|Ein Hund ': {translatedText: 'Ein Hund läuft.', alternatives: [
    'Ein Hund läuft los.', 'Ein Hund rennt.', 'Ein Hund rennt los.', 'Ein Hundchen rennt.']},
  'A dog runs.|Ein Hund rennt.': {translatedText: 'Ein Hund rennt.', characters: [characters]},
};
window.asked = [];
const real = window.fetch;
window.fetch = async (path, request) => {
  if (path !== 'translate') return real(path, request);
  const {q, prefix} = JSON.parse(request.body);
  asked.push(prefix === undefined ? q : `${q}|${prefix}`);
  return new Response(JSON.stringify(answers[asked.at(-1)]));
};
"""
LINK = "#link, #shade .linked"


def test_words_are_linked_to_the_words_that_they_come_from(page: Browser) -> None:
    page.run(MODEL)
    enter(page, "A dog runs. It barks.")
    assert answer(page) == "Ein Hund läuft. Er bellt."
    page.point("#answer .word[data-begin='4']")
    assert page.texts("#answer .linked") == ["Hund"]
    assert page.texts(LINK) == ["dog", "Hund ← dog"]
    page.point("h1")
    assert page.texts("#answer .linked") == [] and page.texts(LINK) == [""]
    # The keyboard: arrow keys in the translation, and the caret in the text.
    page.run("document.getElementById('answer').focus()")
    page.press("End")
    assert page.texts(LINK) == ["barks", "bellt ← barks"]
    page.press("ArrowLeft", "ArrowLeft")
    assert page.texts(LINK) == ["runs", "läuft ← runs"]
    page.run("document.getElementById('text').setSelectionRange(3, 3); document.getElementById('text').focus()")
    page.press("ArrowRight")
    assert page.texts(LINK) == ["dog", "dog → Hund"]
    page.find("#text").send_keys(" ")
    assert page.texts(LINK) == [""]


def test_words_of_the_text_are_linked_when_they_are_pointed_at(page: Browser) -> None:
    page.run(MODEL)
    enter(page, "A dog runs. It barks.")
    answer(page)
    page.run("const box = document.getElementById('text'); box.focus(); box.setSelectionRange(3, 3)")
    page.point("#shade .word[data-begin='15']")
    assert page.texts("#answer .linked") == ["bellt"]
    assert page.texts(LINK) == ["barks", "barks → bellt"]
    page.point("#shade .word[data-begin='2']")
    assert page.texts(LINK) == ["dog", "dog → Hund"]
    page.point("#shade .word[data-begin='12']")
    assert page.texts(LINK) == ["It", "It → Er"]
    # Without the pointer, the caret says again which word is meant; without either, none is.
    page.point("h1")
    assert page.texts(LINK) == ["dog", "dog → Hund"]
    page.run("document.getElementById('text').blur()")
    page.point("#shade .word[data-begin='12']")
    page.point("h1")
    assert page.texts(LINK) == [""]
    # While other translations are shown, the links stay at their word.
    page.click("#answer .word[data-begin='9']")
    page.point("#shade .word[data-begin='12']")
    assert page.texts(LINK) == ["runs", "läuft ← runs"]


# A server that detects a language, and whose translation is the text itself.
ECHO = """
const real = window.fetch;
const linksOf = (line) => [...line.matchAll(/\\S+/g)].map((own) => [own.index, own.index + own[0].length])
  .map((span) => [...span, ...span]);
window.fetch = async (path, request) => {
  if (path !== 'translate') return real(path, request);
  const {q: translatedText} = JSON.parse(request.body);
  const [characters, detectedLanguage] = [translatedText.split('\\n').map(linksOf), {language: arguments[0]}];
  return new Response(JSON.stringify({translatedText, characters, detectedLanguage}));
};
"""
# The words of the shade that are in view and not over the same word of the box, by the character that the browser finds
# there. How often it was checked comes first.
MISPLACED = """
const [box, misplaced] = [document.getElementById('text'), []];
const frame = box.getBoundingClientRect();
let checked = 0;
for (const word of document.querySelectorAll('#shade .word')) {
  const [{left, top, width, height}] = word.getClientRects();
  const [x, y] = [left + width / 2, top + height / 2];
  if (y < frame.top + height || y > frame.bottom - height) continue;
  const found = document.caretPositionFromPoint(x, y);
  const [begin, end] = wordSpan(word).map((index) => lineOf(word).start + index);
  checked += 1;
  if (found.offsetNode !== box || found.offset < begin || found.offset > end) misplaced.push(word.textContent);
}
return [checked, misplaced];
"""


@pytest.mark.parametrize(
    ("language", "direction", "line"),
    [
        ("en", "ltr", "a dog runs after שני חתולים and two birds. "),
        ("he", "rtl", "כלב רץ אחרי two cats ושתי ציפורים. "),
    ],
)
def test_the_words_to_point_at_are_those_of_the_box(page: Browser, language: str, direction: str, line: str) -> None:
    """In lines that wrap, are mixed of both directions and are scrolled."""
    page.run(ECHO, language)
    text = "\n".join([line, line * 8, "", line * 30, ""])
    enter(page, text)
    assert answer(page) == text
    assert page.run("return document.getElementById('text').dir") == direction
    for share in (0, 0.5, 1):
        scroll = "box.scrollTop = arguments[0] * (box.scrollHeight - box.clientHeight)"
        page.run(f"const box = document.getElementById('text'); {scroll}", share)
        page.wait("document.getElementById('shade').scrollTop === document.getElementById('text').scrollTop")
        checked, misplaced = page.run(MISPLACED)
        assert checked > 20 and misplaced == []
    last = line.split()[-1].removesuffix(".")
    page.run("[...document.querySelectorAll('#shade .word')].at(-1).id = 'last'")
    page.point("#last")
    assert page.texts("#link") == [f"{last} → {last}"]
    assert page.run("return document.getElementById('text').value") == text


def test_another_translation_of_a_word_and_of_a_sentence_can_be_chosen(page: Browser) -> None:
    page.run(MODEL)
    enter(page, "A dog runs. It barks.")
    answer(page)
    page.click("#answer .word[data-begin='9']")
    page.wait("document.querySelector('#alternatives ul')")
    assert page.texts("#alternatives h3, #alternatives button") == [
        "Instead of “läuft”", "… rennt.", "Instead of the sentence", "Der Hund rennt.",
    ]  # fmt: skip
    page.click("#alternatives button")
    page.wait("asked.length === 4")
    assert page.texts("#answer") == ["Ein Hund rennt. Er bellt."]
    assert page.run("return document.getElementById('alternatives').hidden")
    page.point("#answer .word[data-begin='19']")
    assert page.texts(LINK) == ["barks", "bellt ← barks"]
    page.point("#answer .word[data-begin='9']")
    assert page.texts(LINK) == ["runs", "rennt ← runs"]
    # With the keyboard: Enter at a word, Escape back to it.
    page.run("document.getElementById('answer').focus()")
    page.press("Home", "Enter")
    page.wait("document.activeElement.closest('#alternatives')")
    page.press("Escape")
    assert page.focused()["id"] == "answer"
    assert page.run("return document.getElementById('alternatives').hidden")


def test_other_translations_of_a_real_model(page: Browser) -> None:
    enter(page, LINE)
    found = answer(page)
    page.run("document.querySelector('#answer .word').click()")
    page.wait("document.querySelector('#alternatives ul')")
    other = page.texts("#alternatives button")[0]
    page.click("#alternatives button")
    assert page.texts("#answer") == [other] != [found]


def test_attention_is_shown_in_place(page: Browser) -> None:
    enter(page, LINE)
    found = answer(page)
    page.click("#look")
    page.in_frame("#maps", lambda: page.wait("document.body && document.body.dataset.ready"))
    texts = page.in_frame("#maps", lambda: page.texts("#source-text, #target-text"))
    assert texts == [LINE, found]
    # The frame has no rights in the page.
    assert page.in_frame("#maps", lambda: page.run("return window.origin")) == "null"
    enter(page, "another text")
    page.wait("document.getElementById('maps').hidden")


def test_models_and_examples_are_shown(page: Browser, server: Server) -> None:
    enter(page, 'it\'s "one"\nline')
    answer(page)
    (model,) = server.get("/models")[1]
    assert page.texts("#models h3") == ["tiny: English to German"]
    assert set(page.texts("#models li")) >= {*model["description"], *model["training_data"]}
    assert page.texts("#models p") == ["This run has not been evaluated."]
    (python,) = page.texts("#python")
    result = subprocess.run(
        [sys.executable, "-c", python], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert result.stdout == page.texts("#answer")[0] + "\n"
    curl, *options = shlex.split(page.texts("#curl")[0].replace("\\\n", ""))
    assert curl == "curl" and options[0] == f"{server.url}/translate"
    assert server.send("/translate", options[-1].encode(), {"Content-Type": "application/json"})[0] == 200


def test_screen_readers_have_a_name_for_everything(page: Browser) -> None:
    page.run(MODEL)
    enter(page, "A dog runs. It barks.")
    answer(page)
    page.click("#answer .word[data-begin='9']")
    page.wait("document.querySelector('#alternatives ul')")
    page.run("for (const part of document.querySelectorAll('details')) part.open = true")
    nodes = [node for node in page.control("Accessibility.getFullAXTree")["nodes"] if not node["ignored"]]
    roles = {"button", "textbox", "combobox", "link", "checkbox", "group", "region", "progressbar", "Iframe", "table"}
    found = [(node["role"]["value"], node["name"]["value"]) for node in nodes if node["role"]["value"] in roles]
    assert {role for role, name in found if not name} <= {"group"}  # A `details` is named by what it contains.
    assert {("textbox", "Text"), ("group", "Translation"), ("button", "Copy"), ("combobox", "From")} <= set(found)
    live = "return [...document.querySelectorAll('[aria-live], [role=status], [role=alert]')].map((own) => own.id)"
    assert page.run(live) == ["error", "answer", "link", "file-status"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_the_page_in_its_colours(page: Browser, server: Server, scheme: str) -> None:
    page.control("Emulation.setDeviceMetricsOverride", width=360, height=740, deviceScaleFactor=2, mobile=True)
    page.control("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    try:
        page.open(f"{server.url}/")
        page.wait("document.body.dataset.ready")
        enter(page, "x" * 2_000)
        answer(page)
        page.run("for (const part of document.querySelectorAll('details')) part.open = true")
        width = "const page = document.documentElement; return [page.scrollWidth, page.clientWidth]"
        assert page.run(width) == [360, 360]
        colour = "return getComputedStyle(document.body).backgroundColor"
        assert page.run(colour) == {"light": "rgb(252, 252, 250)", "dark": "rgb(20, 22, 27)"}[scheme]
        shade = "return ['shade', 'text'].map((id) => document.getElementById(id).scrollHeight)"
        page.run("document.getElementById('shade').textContent = document.getElementById('text').value")
        assert len(set(page.run(shade))) == 1, "the shade breaks lines elsewhere than the text"
    finally:
        page.control("Emulation.clearDeviceMetricsOverride")
        page.control("Emulation.setEmulatedMedia", features=[])


# A server of two directions, whose translation is the text with the direction before it.
TWO_DIRECTIONS = """
const languages = [{code: 'de', name: 'German', targets: ['he']}, {code: 'he', name: 'Hebrew', targets: ['de']}];
const real = window.fetch;
window.fetch = async (path, request) => {
  if (path === 'languages') return new Response(JSON.stringify(languages));
  if (path !== 'translate') return real(path, request);
  const {q, source, target} = JSON.parse(request.body);
  const found = source === 'auto' ? {detectedLanguage: {language: 'he', confidence: 90}} : {};
  return new Response(JSON.stringify({translatedText: `${source} ${target}: ${q}`, ...found}));
};
"""


def test_directions_are_chosen_detected_and_swapped(browser: Browser, server: Server) -> None:
    script = browser.control("Page.addScriptToEvaluateOnNewDocument", source=TWO_DIRECTIONS)
    choose = (
        "const list = document.getElementById(arguments[0]); list.value = arguments[1];"
        "list.dispatchEvent(new Event('change'))"
    )
    shown = "return ['text', 'answer'].map((id) => document.getElementById(id)).map((own) => [own.lang, own.dir])"
    try:
        browser.open(f"{server.url}/")
        browser.wait("document.body.dataset.ready")
        assert browser.texts("#source option") == ["Detect language", "German", "Hebrew"]
        browser.run(choose, "source", "de")
        assert browser.texts("#target option") == ["Hebrew"]
        enter(browser, "a")
        assert answer(browser) == "de he: a"
        assert browser.run(shown) == [["de", "ltr"], ["he", "rtl"]]
        browser.click("#swap")
        browser.wait("document.getElementById('answer').textContent === 'he de: de he: a'")
        assert browser.run(shown) == [["he", "rtl"], ["de", "ltr"]]
        browser.run(choose, "source", "auto")
        browser.run(choose, "target", "de")
        browser.wait("document.getElementById('answer').textContent === 'auto de: de he: a'")
        assert browser.texts("#detected") == ["Detected: Hebrew"]
        assert browser.run(shown) == [["he", "rtl"], ["de", "ltr"]]
        browser.click("#swap")
        browser.wait("document.getElementById('answer').textContent === 'de he: auto de: de he: a'")
        assert browser.texts("#detected") == [""]
    finally:
        browser.control("Page.removeScriptToEvaluateOnNewDocument", **script)
