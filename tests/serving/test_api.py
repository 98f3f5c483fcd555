"""The API over HTTP: every way to send fields, every route, answers and errors."""

import io
import json
import threading
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import docx
import pytest

LINE = "a dog runs."
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
PAIR = {"source": "en", "target": "de"}


def multipart(
    fields: list[tuple[str, str]], file: tuple[str, bytes] | None = None, file_field: str = "file"
) -> tuple[bytes, dict[str, str]]:
    parts = [
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode() for name, value in fields
    ]
    if file is not None:
        head = f'--b\r\nContent-Disposition: form-data; name="{file_field}"; filename="{file[0]}"\r\n\r\n'
        parts.append(head.encode() + file[1] + b"\r\n")
    return b"".join(parts) + b"--b--\r\n", {"Content-Type": "multipart/form-data; boundary=b"}


def test_all_ways_to_send_fields_have_one_answer(server: Any, expected: Callable[..., list[str]]) -> None:
    (text,) = expected(LINE)
    query = urlencode({"q": LINE, **PAIR})
    sent = [
        server.send("/translate", json.dumps({"q": LINE, **PAIR}).encode(), {"Content-Type": "application/json"}),
        server.send("/translate", query.encode(), FORM),
        server.send("/translate", *multipart([("q", LINE), *PAIR.items()])),
        server.send(f"/translate?{query}", b"", FORM),
    ]
    assert [(status, answer) for status, answer, _ in sent] == [(200, {"translatedText": text})] * 4


def test_lists_line_feeds_and_blank_texts_keep_their_shape(server: Any, expected: Callable[..., list[str]]) -> None:
    first, second = expected(LINE, "the man reads.")
    texts = [LINE, f"{LINE}\n\nthe man reads.\n", "", " \n"]
    status, answer = server.post("/translate", q=texts, **PAIR)
    assert status == 200
    assert answer == {"translatedText": [first, f"{first}\n\n{second}\n", "", " \n"]}
    form = urlencode([("q", LINE), ("q", "the man reads."), *PAIR.items()])
    assert server.send("/translate", form.encode(), FORM)[1] == {"translatedText": [first, second]}
    assert server.post("/translate", q=[], **PAIR) == (200, {"translatedText": []})


def test_alternatives_detection_scores_and_alignment(server: Any) -> None:
    fields = {"q": [LINE, "the man"], "source": "auto", "target": "de", "alternatives": 2}
    status, answer = server.post("/translate", **fields, scores=True, alignment=True)
    assert status == 200
    assert sorted(answer) == ["alignment", "alternatives", "detectedLanguage", "scores", "translatedText"]
    for name in answer:
        assert len(answer[name]) == 2, name
    assert 1 <= len(answer["alternatives"][0]) <= 2
    assert answer["translatedText"][0] not in answer["alternatives"][0]
    assert set(answer["detectedLanguage"][0]) == {"language", "confidence"}
    assert answer["scores"][0][0]["log_probability"] < 0
    assert all(len(link) == 2 for link in answer["alignment"][0][0])


def test_a_translation_begins_as_asked_and_its_characters_are_aligned(server: Any) -> None:
    fields = {"q": [LINE, f"  {LINE}"], "prefix": "Ein Hund", "alternatives": 2, "characters": True, **PAIR}
    status, answer = server.post("/translate", **fields)
    assert status == 200
    for texts in zip(answer["translatedText"], *zip(*answer["alternatives"], strict=True), strict=True):
        assert all(text.startswith("Ein Hund") for text in texts)
    for text, (links,) in zip(answer["translatedText"], answer["characters"], strict=True):
        assert links and all(0 <= begin <= end <= len(LINE) + 2 for begin, end, _, _ in links)
        assert [link[2:] for link in links] == sorted(link[2:] for link in links)
        assert links[-1][3] <= len(text)
    long = "Ein Hund " * 5  # Far more than twice the text.
    status, answer = server.post("/translate", q="a", prefix=long, **PAIR)
    assert status == 200 and answer["translatedText"].startswith(long.strip())
    status, answer = server.post("/translate", q="a", prefix="Ein Hund " * 40, **PAIR)
    assert status == 400 and "and the model writes at most 63; shorten it" in answer["error"]
    for wrong in ({"q": "a\nb"}, {"format": "html"}, {"protect": ["number"]}):
        status, answer = server.post("/translate", **{"q": LINE, "prefix": "Ein", **PAIR, **wrong})
        assert status == 400 and answer["error"].startswith("prefix"), wrong


def test_markup_and_protected_text_are_kept(server: Any) -> None:
    text = "<p>the <b>old</b> house {name}</p>\n<hr/>\n"
    status, answer = server.post("/translate", q=text, format="html", protect=["placeholder", "(x"], **PAIR)
    assert status == 200
    translated = answer["translatedText"]
    assert translated.startswith("<p>") and translated.endswith("</p>\n<hr/>\n")
    assert translated.count("{name}") == translated.count("<b>") == translated.count("</b>") == 1


def test_a_text_in_the_target_language_is_unchanged(server: Any) -> None:
    assert server.post("/translate", q=LINE, source="de", target="de") == (200, {"translatedText": LINE})


def test_requests_that_come_together_are_answered_as_alone(server: Any, expected: Callable[..., list[str]]) -> None:
    lines = [f"{first} {second} runs." for first in ("a dog", "the cat", "a man") for second in ("red", "blue", "big")]
    answers: dict[str, Any] = {}

    def ask(line: str) -> None:
        answers[line] = server.post("/translate", q=line, **PAIR)

    threads = [threading.Thread(target=ask, args=(line,)) for line in lines * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {
        line: (200, {"translatedText": text}) for line, text in zip(lines, expected(*lines), strict=True)
    }


def test_a_document_of_a_megabyte_is_refused_beyond_the_limit_and_else_translated(server: Any) -> None:
    document = "\n".join([LINE] * 1_900)
    status, answer = server.post("/translate", q=document, **PAIR)
    assert (status, answer["translatedText"].count("\n")) == (200, 1_899)
    assert server.post("/translate", q="x\n" * 2_001, **PAIR)[0] == 413
    assert server.post("/translate", q="x" * 200_001, **PAIR)[0] == 413


def test_what_is_served_and_what_the_models_are(server: Any) -> None:
    languages = [{"code": "de", "name": "German", "targets": []}, {"code": "en", "name": "English", "targets": ["de"]}]
    assert server.get("/languages") == (200, languages)
    assert server.send("/languages", b"api_key=x", FORM)[1] == languages
    (model,) = server.get("/models")[1]
    assert (model["name"], model["source"], model["targets"], model["scores"]) == ("tiny", "en", ["de"], [])
    assert model["parameters"] > 1_000
    settings = server.get("/frontend/settings")[1]
    assert (settings["charLimit"], settings["keyRequired"]) == (200_000, False)
    assert server.get("/health") == (200, {"status": "ok"})
    assert "/translate" in server.get("/openapi.json")[1]["paths"]
    found = server.post("/detect", q="The old farmer has slept in his house.")[1]
    assert [own["language"] for own in found] == ["en", "de"]
    assert found[0]["confidence"] > 80 > 20 > found[1]["confidence"]


def test_metrics_count_what_was_done(server: Any) -> None:
    server.post("/translate", q=LINE, **PAIR)
    text = server.get("/metrics")[1]
    figures = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(figures['translator_requests_total{path="/translate",status="200"}']) >= 1
    for name in ("lines_total", "tokens_total", "batches_total", 'translate_seconds{quantile="0.99"}'):
        assert float(figures[f"translator_{name}"]) > 0, name
    assert figures['translator_queue_characters{run="tiny"}'] == "0"


def test_a_file_is_translated_and_can_be_fetched(server: Any, expected: Callable[..., list[str]]) -> None:
    body, headers = multipart([*PAIR.items()], ("a.txt", f"{LINE}\n".encode()))
    status, answer, _ = server.send("/translate_file", body, headers)
    assert status == 200
    path = answer["translatedFileUrl"].removeprefix(server.url)
    assert server.get(path) == (200, expected(LINE)[0] + "\n")
    assert server.get("/download_file/..%2Fetc")[0] == 404
    body, headers = multipart([*PAIR.items()], ("a.exe", b"MZ"))
    status, answer, _ = server.send("/translate_file", body, headers)
    assert status == 400 and "expected .txt" in answer["error"]


def test_a_word_document_is_translated(server: Any, expected: Callable[..., list[str]]) -> None:
    document, written = docx.Document(), io.BytesIO()
    document.add_paragraph("The old farmer has slept.")
    document.save(written)
    body, headers = multipart([("source", "auto"), ("target", "de")], ("a.docx", written.getvalue()))
    status, answer, _ = server.send("/translate_file", body, headers)
    assert status == 200
    with urllib.request.urlopen(answer["translatedFileUrl"]) as file:
        (paragraph,) = docx.Document(io.BytesIO(file.read())).paragraphs
    assert paragraph.text == expected("The old farmer has slept.")[0]


def test_the_language_of_markup_is_that_of_its_text(server: Any) -> None:
    style = "<style>" + "body { margin: 0; padding: 0; color: black }\n" * 50 + "</style>"
    page = f"<html>{style}<p>Der alte Bauer schläft und der Hund läuft durch den Garten.</p></html>"
    status, answer = server.post("/translate", q=page, source="auto", target="de", format="html")
    assert (status, answer["detectedLanguage"]["language"], answer["translatedText"]) == (200, "de", page)


def test_a_memory_is_translated_from_the_language_that_it_states(
    server: Any, expected: Callable[..., list[str]]
) -> None:
    line = "Der alte Bauer schläft und der Hund läuft."
    unit = f'<tu><tuv xml:lang="en-US"><seg>{line}</seg></tuv></tu>'
    data = f'<tmx version="1.4"><header srclang="de"/><body>{unit}</body></tmx>'.encode("utf-16")
    body, headers = multipart([("source", "auto"), ("target", "de")], ("a.tmx", data))
    status, answer, _ = server.send("/translate_file", body, headers)
    assert status == 200
    with urllib.request.urlopen(answer["translatedFileUrl"]) as file:
        assert f'<tuv xml:lang="de"><seg>{expected(line)[0]}</seg></tuv>' in file.read().decode()


def test_attention_is_a_page_or_its_data(server: Any) -> None:
    status, page, headers = server.send("/attention", urlencode({"q": LINE, **PAIR}).encode(), FORM)
    assert status == 200 and page.startswith("<!doctype html>")
    assert headers["content-security-policy"] == "frame-ancestors 'self'"
    status, data = server.post("/attention", q=LINE, format="json", **PAIR)
    assert status == 200 and isinstance(data, dict)
    assert server.post("/attention", q=" ", **PAIR)[0] == 400
    status, data = server.post("/attention", q="a" * 1_001, **PAIR)
    assert status == 413 and "1,001 characters" in data["error"]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"source": "en", "target": "de"}, "missing q"),
        ({"q": LINE, "target": "de"}, "missing source"),
        ({"q": LINE, "source": "en"}, "missing target"),
        ({"q": LINE, "source": "en", "target": "fr"}, "fr is not supported"),
        ({"q": LINE, "source": "xx", "target": "de"}, "xx is not supported"),
        ({"q": LINE, "source": "de", "target": "en"}, "not available"),
        ({"q": 5, **PAIR}, "q"),
        ({"q": LINE, "format": "pdf", **PAIR}, "format"),
        ({"q": LINE, "alternatives": -1, **PAIR}, "alternatives"),
        ({"q": LINE, "alternatives": 99, **PAIR}, "at most 8"),
        ({"q": LINE, "glossary": {"": "x"}, **PAIR}, "term"),
    ],
)
def test_errors_are_sentences(server: Any, fields: dict[str, Any], named: str) -> None:
    status, answer = server.post("/translate", **fields)
    assert status == 400
    assert list(answer) == ["error"] and named in answer["error"]


@pytest.mark.parametrize("name", ["q", "target"])
def test_text_that_comes_as_a_file_is_refused_and_not_its_name_translated(server: Any, name: str) -> None:
    fields = {"q": LINE, **PAIR}
    del fields[name]
    body, headers = multipart([*fields.items()], ("words.txt", b"a dog"), name)
    status, answer, _ = server.send("/translate", body, headers)
    assert status == 400 and f"{name} is a file; expected text" in answer["error"]


def test_unknown_routes_and_methods(server: Any) -> None:
    assert server.get("/nothing") == (404, {"error": "Not Found"})
    assert server.get("/translate") == (405, {"error": "Method Not Allowed"})
