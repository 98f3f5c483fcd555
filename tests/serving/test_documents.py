"""Files: what of them is text, and what is written."""

import pytest

from translator.serving import texts
from translator.serving.documents import look_into_document, open_document
from translator.serving.refusals import DocumentError

STYLE = "<style>" + "body { margin: 0; padding: 0; color: black; background-color: white }\n" * 1_000 + "</style>"


@pytest.mark.parametrize(
    ("name", "text", "sample"),
    [
        ("a.txt", "Der Hund läuft.", "Der Hund läuft."),
        ("a.html", f"<title>Seite</title>{STYLE}<p>Der <b>Hund</b> läuft.</p>", "Seite Der Hund läuft."),
        ("a.srt", "1\n00:00:01,000 --> 00:00:02,000\nDer <i>Hund</i>\nläuft & bellt.\n", "Der Hund läuft & bellt."),
        ("a.tmx", "<tmx><tuv><seg>Der <ph>{the name}</ph> läuft.</seg></tuv></tmx>", "Der  läuft."),
    ],
)
def test_languages_are_told_by_what_is_translated(name: str, text: str, sample: str) -> None:
    assert look_into_document(name, text.encode()).sample == sample


def test_a_long_page_is_read_as_far_as_its_language_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "_ENOUGH", 10)
    monkeypatch.setattr(texts, "_BEGINNING", 20)
    assert look_into_document("a.html", b"<p>one two three</p><p>four</p>").sample == "one two three"


@pytest.mark.parametrize(
    ("name", "data", "named"),
    [
        ("a.pdf", b"%PDF", "expected .txt"),
        ("a.docx", b"PK", "no Word document"),
        ("noname", b"", "expected .txt"),
        ("a.txt", b"\xff\xfe", "UTF-8"),
        ("a.tmx", b"<tmx>", "no XML"),
        ("a.tmx", b'<?xml version="1.0" encoding="nobodys"?><tmx/>', "no XML"),
        ("a.tmx", '<!DOCTYPE x [<!ENTITY a "b">]><tmx/>'.encode("utf-16"), "entities"),
        ("a.tmx", b'<!DOCTYPE x [<!ENTITY a "b">]><tmx/>', "entities"),
    ],
)
def test_files_that_cannot_be_read(name: str, data: bytes, named: str) -> None:
    with pytest.raises(DocumentError, match=named):
        open_document(name, data, "en", "de")
    with pytest.raises(DocumentError, match=named):
        look_into_document(name, data)
