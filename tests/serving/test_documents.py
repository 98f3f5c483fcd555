"""Files: what of them is text, and what is written."""

import pytest

from translator.serving.documents import DocumentError, open_document

SRT = (
    "1\r\n00:00:01,000 --> 00:00:02,000\r\nA <i>dog</i>\r\nruns.\r\n\r\n2\r\n00:00:03,000 --> 00:00:04,000\r\nYes.\r\n"
)
TMX = """<?xml version="1.0"?><tmx version="1.4"><header srclang="en"/><body>
<tu><tuv xml:lang="en-US"><seg>A <bpt i="1"/>dog</seg></tuv></tu>
<tu><tuv xml:lang="en"><seg>kept</seg></tuv><tuv xml:lang="de"><seg>da</seg></tuv></tu>
</body></tmx>"""


def test_subtitles_keep_times_and_numbers() -> None:
    texts, form, rebuild = open_document("a.SRT", SRT.encode(), "en", "de")
    assert (texts, form) == (["A <i>dog</i> runs.", "Yes."], "html")
    written = rebuild(["Ein Hund", "Ja."]).decode()
    assert (
        written == "1\r\n00:00:01,000 --> 00:00:02,000\r\nEin Hund\r\n\r\n2\r\n00:00:03,000 --> 00:00:04,000\r\nJa.\r\n"
    )


def test_a_translation_memory_gets_what_it_lacks() -> None:
    texts, form, rebuild = open_document("a.tmx", TMX.encode(), "en", "de")
    assert (texts, form) == (["A dog"], "text")
    written = rebuild(["Ein \x01Hund"]).decode()
    assert '<tuv xml:lang="de"><seg>Ein Hund</seg></tuv>' in written
    assert written.count("<tuv") == 4


@pytest.mark.parametrize(
    ("name", "data", "named"),
    [
        ("a.pdf", b"%PDF", "expected .txt"),
        ("a.docx", b"PK", "no Word document"),
        ("noname", b"", "expected .txt"),
        ("a.txt", b"\xff\xfe", "UTF-8"),
        ("a.tmx", b"<tmx>", "no XML"),
        ("a.tmx", b'<!DOCTYPE x [<!ENTITY a "b">]><tmx/>', "entities"),
    ],
)
def test_files_that_cannot_be_read(name: str, data: bytes, named: str) -> None:
    with pytest.raises(DocumentError, match=named):
        open_document(name, data, "en", "de")
