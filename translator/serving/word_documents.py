"""Word documents (.docx): the text of paragraphs, tables, text boxes, headers and footers, with its formatting.

A paragraph consists of runs, each with one formatting. Adjacent runs are one text in which a `span` is around whatever
is formatted differently from most of it, so that the formatting follows its words into the translation. Anything else
in or between runs (a tab, a line break, a picture, a field, a footnote) stays where it is and separates texts. Hyphens
of their own are part of their words: the one that does not break is read and written as `-`, and an optional one is
left out of what is translated.
"""

import copy
import html
import io
import zipfile
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from typing import Any

from translator.serving.refusals import DocumentError

_MOST_UNPACKED = 64 << 20
"""Bytes of all parts of a document: a small file can unpack to any size."""
_NAMESPACE = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_PARAGRAPH, _RUN, _TEXT, _LINK, _FORMAT = (
    f"{_NAMESPACE}{name}" for name in ("p", "r", "t", "hyperlink", "rPr")
)  # fmt: skip
_HYPHENS = {f"{_NAMESPACE}noBreakHyphen": "-", f"{_NAMESPACE}softHyphen": ""}
_LETTERS = {_TEXT, *_HYPHENS}
_IGNORED = {f"{_NAMESPACE}{name}" for name in ("lastRenderedPageBreak", "proofErr", "bookmarkStart", "bookmarkEnd")}
_SPACE = "{http://www.w3.org/XML/1998/namespace}space"


def open_word(data: bytes) -> tuple[list[str], Callable[[Sequence[str]], bytes]]:
    """Return the texts of a document, as HTML, and what makes the document of their translations.

    Raises `DocumentError` if it is no Word document, or too large a one.
    """
    import docx
    from docx.opc.constants import CONTENT_TYPE

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(part.file_size for part in archive.infolist())
        if size > _MOST_UNPACKED:
            raise DocumentError(f"the document unpacks to {size:,} bytes; the limit is {_MOST_UNPACKED:,}")
        document = docx.Document(io.BytesIO(data))
        # Headers and footers are parts of their own; so are comments, which stay as they are.
        kinds = (CONTENT_TYPE.WML_DOCUMENT_MAIN, CONTENT_TYPE.WML_HEADER, CONTENT_TYPE.WML_FOOTER)
        elements = [part.element for part in document.part.package.iter_parts() if part.content_type in kinds]
    except DocumentError:
        raise
    except Exception as error:  # Many kinds from the archive, XML and relations; all mean the same.
        raise DocumentError(f"the file is no Word document ({type(error).__name__})") from None
    for element in elements:
        for run in list(element.iter(_RUN)):
            _split(run)
    stretches = [_Stretch(own) for element in elements for own in _find_stretches(element)]

    def rebuild(translated: Sequence[str]) -> bytes:
        for stretch, text in zip(stretches, translated, strict=True):
            stretch.replace(text)
        written = io.BytesIO()
        document.save(written)
        return written.getvalue()

    return [stretch.text for stretch in stretches], rebuild


def _split(run: Any) -> None:
    """Make runs of equal formatting of a run that has text and something else, each of which has one of the two."""
    kinds = [own.tag in _LETTERS for own in run if own.tag not in _IGNORED and own.tag != _FORMAT]
    if all(kinds) or not any(kinds):
        return
    formatting = run.find(_FORMAT)
    current, is_text = run, kinds[0]
    for own in list(run):
        if own.tag == _FORMAT:
            continue
        if own.tag not in _IGNORED and (own.tag in _LETTERS) != is_text:
            following = run.makeelement(run.tag, run.attrib, run.nsmap)
            if formatting is not None:
                following.append(copy.deepcopy(formatting))
            current.addnext(following)
            current, is_text = following, not is_text
        if current is not run:
            current.append(own)


def _find_stretches(root: Any) -> list[list[Any]]:
    """Return all longest sequences of adjacent runs and links that have nothing but text, with a letter in it."""
    found: list[list[Any]] = []
    for paragraph in root.iter(_PARAGRAPH):
        # Runs may be in a tracked insertion or a content control.
        inner = (own for own in paragraph.iterdescendants() if own.tag not in (_RUN, _LINK, _PARAGRAPH))
        for parent in [paragraph, *inner]:
            # A text box has paragraphs of its own.
            if parent is paragraph or next(parent.iterancestors(_PARAGRAPH), None) is paragraph:
                found += _stretches_in(parent)
    return [own for own in found if any(letter.isalpha() for element in own for letter in _text_of(element))]


def _stretches_in(parent: Any) -> list[list[Any]]:
    found: list[list[Any]] = []
    current: list[Any] = []
    for child in parent:
        if _is_text(child):
            current.append(child)
        elif child.tag not in _IGNORED and not _is_empty(child):
            # A link with a tab or a picture is not moved.
            found += [current, *(_stretches_in(child) if child.tag == _LINK else [])]
            current = []
    return [*found, current]


def _is_text(element: Any) -> bool:
    """Whether an element is a run or a link with nothing but text."""
    if element.tag == _LINK:
        inner = [own for own in element if own.tag not in _IGNORED and not _is_empty(own)]
        return bool(inner) and all(own.tag == _RUN and _is_text(own) for own in inner)
    own_tags = {own.tag for own in element} - _IGNORED - {_FORMAT}
    return element.tag == _RUN and bool(own_tags) and own_tags <= _LETTERS


def _is_empty(element: Any) -> bool:
    """Whether an element is a run without content."""
    return element.tag == _RUN and all(own.tag == _FORMAT or own.tag in _IGNORED for own in element)


def _text_of(element: Any) -> str:
    return "".join(_HYPHENS.get(own.tag, own.text or "") for own in element.iter(*_LETTERS))


class _Stretch:
    """Adjacent runs and links: a text with formatting."""

    def __init__(self, elements: Sequence[Any]) -> None:
        self._elements = elements
        groups: list[list[Any]] = []
        for element in elements:
            if groups and element.tag == _RUN and _format(element) == _format(groups[-1][0]):
                groups[-1].append(element)
            else:
                groups.append([element])
        self._templates = [group[0] for group in groups]
        texts = ["".join(map(_text_of, group)).replace("\n", " ") for group in groups]
        lengths: dict[str, int] = {}
        for template, text in zip(self._templates, texts, strict=True):
            lengths[_format(template)] = lengths.get(_format(template), 0) + len(text)
        # Not a link, unless there is nothing else.
        usual = max(lengths, key=lambda own: (not own.startswith(_LINK), lengths[own]))
        self._usual = next(own for own in self._templates if _format(own) == usual)
        whole = "".join(texts)
        self._before = whole[: len(whole) - len(whole.lstrip())]
        self._after = whole[len(whole.rstrip()) :]
        begin, end = len(self._before), len(whole) - len(self._after)
        written, at = [], 0
        for index, (template, text) in enumerate(zip(self._templates, texts, strict=True)):
            shown = html.escape(text[max(0, begin - at) : max(0, end - at)])
            written.append(f'<span id="{index}">{shown}</span>' if shown and _format(template) != usual else shown)
            at += len(text)
        self.text = "".join(written)

    def replace(self, translation: str) -> None:
        """Put a translation, as HTML, in the place of the text."""
        reader = _Reader()
        reader.feed(translation)
        reader.close()
        pieces = reader.pieces or [("", None)]
        pieces[0] = (self._before + pieces[0][0], pieces[0][1])
        pieces[-1] = (pieces[-1][0] + self._after, pieces[-1][1])
        first = self._elements[0]
        for text, index in pieces:
            first.addprevious(_with_text(self._usual if index is None else self._templates[index], text))
        for element in self._elements:
            element.getparent().remove(element)


class _Reader(HTMLParser):
    """Reads text with the `span`s of `_Stretch`."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[tuple[str, int | None]] = []
        """Texts with the index of their formatting, None for the usual one."""
        self._open: list[int] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._open.append(int(dict(attributes).get("id") or 0))

    def handle_endtag(self, tag: str) -> None:
        if self._open:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        self.pieces.append((data, self._open[-1] if self._open else None))


def _format(element: Any) -> str:
    """Return what is equal for runs of equal formatting; a link is unlike any other."""
    if element.tag == _LINK:
        return f"{_LINK} {id(element)}"
    found = element.find(_FORMAT)
    return "plain" if found is None else str(_canonical(found))


def _canonical(element: Any) -> tuple[Any, ...]:
    return element.tag, tuple(sorted(element.items())), tuple(_canonical(own) for own in element)


def _with_text(template: Any, text: str) -> Any:
    """Return a copy of a run or link that has another text."""
    element = copy.deepcopy(template)
    first, *others = element.iter(*_LETTERS)
    for other in others:
        other.getparent().remove(other)
    first.tag = _TEXT
    first.text = "".join(letter for letter in text if letter >= " " or letter in "\t")
    first.set(_SPACE, "preserve")
    return element
