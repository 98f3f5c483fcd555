"""Word documents: what is text, formatting that moves with its words, and what stays as it is."""

import io
import re
import zipfile
from typing import Any

import docx
import pytest
from docx.oxml import OxmlElement

from translator.serving import word_documents
from translator.serving.refusals import DocumentError
from translator.serving.word_documents import open_word


def saved(document: Any) -> bytes:
    written = io.BytesIO()
    document.save(written)
    return written.getvalue()


def sentence(paragraph: Any) -> Any:
    paragraph.add_run("the ")
    paragraph.add_run("old").bold = True
    paragraph.add_run(" house & ")
    paragraph.add_run("garden")
    return paragraph


def runs_of(paragraph: Any) -> list[tuple[str, bool]]:
    return [(run.text, bool(run.bold)) for run in paragraph.runs]


def test_all_places_of_text_are_translated() -> None:
    document = docx.Document()
    document.add_heading("a title")
    document.add_paragraph("a line")
    document.add_table(1, 2).cell(0, 1).text = "a cell"
    document.sections[0].header.paragraphs[0].text = "a header"
    document.sections[0].footer.paragraphs[0].text = "a footer"
    document.add_paragraph("1234")
    texts, rebuild = open_word(saved(document))
    assert sorted(texts) == ["a cell", "a footer", "a header", "a line", "a title"]
    written = docx.Document(io.BytesIO(rebuild([text.upper() for text in texts])))
    assert [own.text for own in written.paragraphs] == ["A TITLE", "A LINE", "1234"]
    assert written.paragraphs[0].style.name == "Heading 1"
    assert written.tables[0].cell(0, 1).text == "A CELL"
    assert written.sections[0].header.paragraphs[0].text == "A HEADER"
    assert written.sections[0].footer.paragraphs[0].text == "A FOOTER"


def test_formatting_follows_its_words() -> None:
    document = docx.Document()
    sentence(document.add_paragraph(" "))
    texts, rebuild = open_word(saved(document))
    assert texts == ['the <span id="1">old</span> house &amp; garden']
    data = rebuild(['Haus &amp; Garten, <span id="1">alt</span> und <span id="1">grau</span>'])
    (paragraph,) = docx.Document(io.BytesIO(data)).paragraphs
    assert runs_of(paragraph) == [
        (" Haus & Garten, ", False), ("alt", True), (" und ", False), ("grau", True)
    ]  # fmt: skip


def test_what_is_between_runs_stays_and_links_move() -> None:
    document = docx.Document()
    paragraph = document.add_paragraph("one")
    paragraph.add_run().add_tab()
    paragraph.add_run("two ")
    link = OxmlElement("w:hyperlink")
    link.append(paragraph.add_run("three")._r)
    paragraph._p.append(link)
    paragraph.add_run().add_break()
    paragraph.add_run("four")
    texts, rebuild = open_word(saved(document))
    assert texts == ["one", 'two <span id="1">three</span>', "four"]
    data = rebuild(["eins", '<span id="1">drei</span> zwei', ""])
    (paragraph,) = docx.Document(io.BytesIO(data)).paragraphs
    assert paragraph.text == "eins\tdrei zwei\n"
    assert [own.text for own in paragraph.hyperlinks] == ["drei"]


def written_by(data: bytes, *, upper: bool = False) -> Any:
    """Return a document whose texts were replaced by themselves, or by their capitals."""
    texts, rebuild = open_word(data)
    return docx.Document(io.BytesIO(rebuild([text.upper() if upper else text for text in texts])))


def test_what_is_in_a_run_beside_its_text_stays_between_texts() -> None:
    document = docx.Document()
    run = document.add_paragraph("see ").add_run("one\ttwo\nthree")
    run.bold = True
    note = OxmlElement("w:footnoteReference")
    run._r.append(note)
    document.add_paragraph("").add_run().add_break()
    document.paragraphs[1].runs[0].add_text("four")
    document.add_paragraph("12\t34")
    texts, _ = open_word(saved(document))
    assert texts == ['see <span id="1">one</span>', "two", "three", "four"]
    same, other = written_by(saved(document)), written_by(saved(document), upper=True)
    assert [own.text for own in same.paragraphs] == ["see one\ttwo\nthree", "\nfour", "12\t34"]
    assert [own.text for own in other.paragraphs][1:] == ["\nFOUR", "12\t34"]
    for paragraph in (same.paragraphs[0], other.paragraphs[0]):
        assert [bool(own.bold) for own in paragraph.runs] == [False, *[True] * (len(paragraph.runs) - 1)]
        assert [own.tag.rpartition("}")[2] for own in paragraph.runs[-1]._r] == ["rPr", "footnoteReference"]


def test_runs_in_links_are_divided_too() -> None:
    document = docx.Document()
    paragraph = document.add_paragraph("one ")
    link = OxmlElement("w:hyperlink")
    link.append(paragraph.add_run("two\tthree ")._r)
    link.append(paragraph.add_run("four")._r)
    paragraph._p.append(link)
    assert open_word(saved(document))[0] == ["one", "two", "three four"]
    (paragraph,) = written_by(saved(document), upper=True).paragraphs
    assert paragraph.text == "ONE TWO\tTHREE FOUR"
    assert [own.text for own in paragraph.hyperlinks] == ["TWO\tTHREE FOUR"]


def test_hyphens_are_part_of_their_words() -> None:
    document = docx.Document()
    run = document.add_paragraph("an ").add_run("e")
    run._r.append(OxmlElement("w:noBreakHyphen"))
    run.add_text("mail ad")
    run._r.append(OxmlElement("w:softHyphen"))
    document.paragraphs[0].add_run("dress")
    document.paragraphs[0].add_run()._r.append(OxmlElement("w:noBreakHyphen"))
    number = document.add_paragraph("555").add_run()
    number._r.append(OxmlElement("w:noBreakHyphen"))
    assert open_word(saved(document))[0] == ["an e-mail address-"]
    same = written_by(saved(document))
    assert [own.text for own in same.paragraphs] == ["an e-mail address-", "555-"]
    assert number._r.xml == same.paragraphs[1].runs[1]._r.xml


def test_comments_stay_as_they_are() -> None:
    document = docx.Document()
    paragraph = document.add_paragraph("a line")
    document.add_comment(paragraph.runs, text="a comment", author="a")
    assert open_word(saved(document))[0] == ["a line"]
    (comment,) = written_by(saved(document), upper=True).comments
    assert comment.text == "a comment"


@pytest.mark.parametrize(
    "pieces", [("  one", " two three  "), (" ", " one two three\u00a0"), ("  one  ", ""), ("a", "  ")]
)
def test_white_space_around_a_text_is_written_once(pieces: tuple[str, str]) -> None:
    document = docx.Document()
    paragraph = document.add_paragraph()
    paragraph.add_run(pieces[0]).bold = True
    paragraph.add_run(pieces[1])
    (text,) = open_word(saved(document))[0]
    assert re.sub("<.*?>", "", text) == "".join(pieces).strip()
    assert written_by(saved(document)).paragraphs[0].text == "".join(pieces)


def test_text_boxes_are_read_once() -> None:
    document = docx.Document()
    outer = document.add_paragraph("outer")
    box, content = OxmlElement("w:pict"), OxmlElement("w:txbxContent")
    inner = document.add_paragraph("inner")._p
    box.append(content)
    content.append(inner)
    outer.add_run()._r.append(box)
    texts, rebuild = open_word(saved(document))
    assert texts == ["outer", "inner"]
    with zipfile.ZipFile(io.BytesIO(rebuild(["aussen", "innen"]))) as archive:
        assert re.findall(r"<w:t[ >].*?</w:t>", archive.read("word/document.xml").decode()) == [
            '<w:t xml:space="preserve">aussen</w:t>', '<w:t xml:space="preserve">innen</w:t>'
        ]  # fmt: skip


def test_a_document_that_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(docx.Document())
    monkeypatch.setattr(word_documents, "_MOST_UNPACKED", 1_000)
    with pytest.raises(DocumentError, match="the limit is 1,000"):
        open_word(data)
