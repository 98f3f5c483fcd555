"""Translation memories (TMX): each unit that lacks a text in the target language gets one.

The text of a unit (`seg`) has inline elements: codes, whose content is markup of the original document, and `hi`
around text. They travel as the tags of HTML that need no other meaning: a `span` for what is around text (`hi`, or the
codes `bpt` and `ept` that begin and end the same), and a `wbr` for any other code.
"""

import copy
import html
import re
from collections import Counter
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from typing import Any

from translator.serving.refusals import DocumentError
from translator.text.formats.tmx import CODES
from translator.text.languages import same_language

_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_SPACE = re.compile(r"[ \t\r\n]+")
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def open_memory(data: bytes, source: str, target: str) -> tuple[list[str], str, Callable[[Sequence[str]], bytes]]:
    """Return the texts to translate, their markup, and what makes the file of their translations.

    Without any inline element the markup is `none`. Raises `DocumentError`.
    """
    from lxml import etree

    tree = _parse(data)
    found = []
    for unit in _elements(tree, "tu"):
        segments = {_language(own): own.find("{*}seg") for own in unit.findall("{*}tuv")}
        if not any(same_language(target, code) for code in segments):
            inline = next((_Inline(own) for code, own in segments.items() if same_language(source, code)), None)
            if inline is not None and inline.plain.strip():
                found.append((unit, inline))
    is_plain = not any(inline.elements for _, inline in found)

    def rebuild(translated: Sequence[str]) -> bytes:
        for (unit, inline), text in zip(found, translated, strict=True):
            namespace = unit.tag[: unit.tag.rfind("}") + 1]
            version = etree.SubElement(unit, f"{namespace}tuv", {_LANGUAGE: target})
            writer = _Writer(etree.SubElement(version, f"{namespace}seg"), inline.elements)
            writer.feed(html.escape(text) if is_plain else text)
            writer.close()
        written: bytes = etree.tostring(tree, encoding="utf-8", xml_declaration=True)
        return written

    return [inline.plain if is_plain else inline.text for _, inline in found], "none" if is_plain else "html", rebuild


def look_into_memory(data: bytes) -> tuple[list[str], list[str]]:
    """Return the languages that a memory states, that of its sources first and then the most frequent, and its texts.

    Raises `DocumentError`.
    """
    tree = _parse(data)
    stated = [own.get("srclang") or "" for own in _elements(tree, "header")]
    counted = Counter(map(_language, _elements(tree, "tuv")))
    return [*stated, *(code for code, _ in counted.most_common())], [
        _Inline(own).plain for own in _elements(tree, "seg")
    ]


def _parse(data: bytes) -> Any:
    """Read a file without following or expanding anything in it; its document type and comments are kept."""
    from lxml import etree

    try:
        tree = etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True)).getroottree()
    except etree.XMLSyntaxError as error:
        raise DocumentError(f"the file is no XML ({error})") from None
    declared = tree.docinfo.internalDTD
    if declared is not None and any(True for _ in declared.iterentities()):
        raise DocumentError("the file defines entities, which are not read; leave them out")
    return tree


def _elements(tree: Any, name: str) -> list[Any]:
    return list(tree.iter(f"{{*}}{name}"))


def _language(version: Any) -> str:
    return version.get(_LANGUAGE) or version.get("lang") or ""


class _Inline:
    """The content of a `seg`."""

    def __init__(self, segment: Any) -> None:
        self._texts: list[str] = []
        self.elements: list[tuple[Any, Any]] = []
        """What is written for each tag, by its `id`: an element, and for codes in pairs the one that ends it."""
        self.text = "" if segment is None else self._read(segment)
        self.plain = "".join(self._texts)
        """Without the inline elements."""

    def _read(self, element: Any) -> str:
        """Return the content of an element as HTML."""
        children = list(element)
        partners = _pairs(children)
        ends = set(partners.values())
        written = [self._add_text(element.text)]
        for index, child in enumerate(children):
            if index in ends:
                written.append("</span>")
            else:
                # Comments and entities that nobody declares are as codes are.
                is_code = not isinstance(child.tag, str) or _name(child) in CODES
                is_around = index in partners or not is_code
                written.append(f'<{"span" if is_around else "wbr"} id="{len(self.elements)}">')
                self.elements.append((child, children[partners[index]] if index in partners else None))
                written += [] if is_code else [self._read(child), "</span>"]
            written.append(self._add_text(child.tail))
        return "".join(written)

    def _add_text(self, text: str | None) -> str:
        # A line feed is white space, as for `text/formats/tmx.py`; more than one would be a line of its own.
        collapsed = _SPACE.sub(" ", text or "")
        self._texts.append(collapsed)
        return html.escape(collapsed, quote=False)


def _name(element: Any) -> str:
    return str(element.tag).rpartition("}")[2] if isinstance(element.tag, str) else ""


def _pairs(children: Sequence[Any]) -> dict[int, int]:
    """Return which codes end (`ept`) what others begin (`bpt`), by index, as far as they are nested."""
    pairs: dict[int, int] = {}
    waiting: list[int] = []
    by_code: dict[str | None, list[int]] = {}
    for index, child in enumerate(children):
        if _name(child) == "bpt":
            waiting.append(index)
            by_code.setdefault(child.get("i"), []).append(index)
        elif _name(child) == "ept" and by_code.get(child.get("i")):
            first = by_code[child.get("i")][-1]
            while waiting and waiting[-1] >= first:
                by_code[children[waiting.pop()].get("i")].pop()
            pairs[first] = index
    return pairs


class _Writer(HTMLParser):
    """Writes a translation with the tags of `_Inline` into a `seg`."""

    def __init__(self, segment: Any, elements: Sequence[tuple[Any, Any]]) -> None:
        super().__init__(convert_charrefs=True)
        self._elements = elements
        self._parents = [segment]
        self._ends: list[Any] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        begin, end = self._elements[int(dict(attributes).get("id") or 0)]
        if tag == "span" and end is None:
            self._parents.append(self._parents[-1].makeelement(begin.tag, begin.attrib, begin.nsmap))
            self._parents[-2].append(self._parents[-1])
        else:
            self._add(begin)
        if tag == "span":
            self._ends.append(end)

    def handle_endtag(self, tag: str) -> None:
        end = self._ends.pop()
        if end is None:
            self._parents.pop()
        else:
            self._add(end)

    def handle_data(self, data: str) -> None:
        text, parent = _NOT_IN_XML.sub("", data), self._parents[-1]
        # Its length would be counted.
        last = next(parent.iterchildren(reversed=True), None)
        if last is not None:
            last.tail = (last.tail or "") + text
        else:
            parent.text = (parent.text or "") + text

    def _add(self, element: Any) -> None:
        added = copy.deepcopy(element)
        added.tail = None
        self._parents[-1].append(added)
