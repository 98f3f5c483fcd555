"""Files to translate: what of each format is text, and how the translations are put back."""

import re
from collections.abc import Callable, Sequence
from xml.etree import ElementTree

from translator.serving.refusals import DocumentError
from translator.serving.word_documents import open_word
from translator.text.languages import same_language

FORMATS = (".txt", ".html", ".htm", ".srt", ".tmx", ".docx")
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_DETECTED_BYTES = 4000
_TIMES = re.compile(r"\d+:\d\d:\d\d[,.]\d+\s*-->")


Texts = Sequence[str]
Rebuild = Callable[[Texts], bytes]


def open_document(name: str, data: bytes, source: str, target: str) -> tuple[list[str], str, Rebuild]:
    """Return the texts of a file, their format (`text` or `html`), and what makes the file of their translations.

    Raises `DocumentError` if the format is unknown or the file is damaged.
    """
    ending = _ending(name)
    if ending not in FORMATS:
        raise DocumentError(f"found a file of the format {ending or 'without a name'}, expected {', '.join(FORMATS)}")
    if ending == ".tmx":
        return _open_tmx(data, source, target)
    if ending == ".docx":
        return _open_word(data)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentError(f"the file is not UTF-8 (byte {error.start:,})") from None
    if ending == ".srt":
        return _open_srt(text)
    return [text], "html" if ending in (".html", ".htm") else "text", lambda texts: texts[0].encode("utf-8")


def first_text(name: str, data: bytes) -> str:
    """Return text from the beginning of a file, by which its language can be detected.

    Raises `DocumentError` if it is a damaged Word document.
    """
    if _ending(name) == ".docx":
        return re.sub(r"<.*?>", "", " ".join(_open_word(data)[0]))[:_DETECTED_BYTES]
    return data[:_DETECTED_BYTES].decode("utf-8", "ignore")


def _ending(name: str) -> str:
    return name[name.rfind(".") :].lower() if "." in name else ""


def _open_word(data: bytes) -> tuple[list[str], str, Rebuild]:
    texts, rebuild = open_word(data)
    return texts, "html", rebuild


def _open_srt(text: str) -> tuple[list[str], str, Rebuild]:
    """Subtitles: the lines after a line of times, up to a blank line, are a text with tags such as `<i>`."""
    parts: list[str | int] = []
    texts: list[str] = []
    in_cue: list[str] = []
    ends: list[str] = []
    is_cue, end = False, ""
    for line in [*text.split("\n"), ""]:
        bare = line.rstrip("\r")
        if is_cue and bare.strip():
            in_cue.append(bare.strip())
            end = line[len(bare) :]
            continue
        if in_cue:
            parts.append(len(texts))
            texts.append(" ".join(in_cue))
            ends.append(end)
        in_cue, is_cue = [], _TIMES.match(bare.strip()) is not None
        parts.append(line)
    parts.pop()  # the line that was added

    def rebuild(translated: Texts) -> bytes:
        return "\n".join(part if isinstance(part, str) else translated[part] + ends[part] for part in parts).encode(
            "utf-8"
        )

    return texts, "html", rebuild


def _open_tmx(data: bytes, source: str, target: str) -> tuple[list[str], str, Rebuild]:
    """A translation memory: each unit without a text in the target language gets one."""
    if b"<!ENTITY" in data:
        raise DocumentError("the file defines entities, which are not read; leave them out")
    try:
        root = ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise DocumentError(f"the file is no XML ({error})") from None
    except (ValueError, LookupError) as error:
        raise DocumentError(f"the encoding of the file is unknown ({error})") from None
    units, texts = [], []
    for unit in root.iter("tu"):
        by_language = {own.get(_LANGUAGE) or own.get("lang") or "": own for own in unit.findall("tuv")}
        if any(same_language(target, code) for code in by_language):
            continue
        found = next((own.find("seg") for code, own in by_language.items() if same_language(source, code)), None)
        if found is not None and "".join(found.itertext()).strip():
            units.append(unit)
            texts.append("".join(found.itertext()))

    def rebuild(translated: Texts) -> bytes:
        for unit, text in zip(units, translated, strict=True):
            version = ElementTree.SubElement(unit, "tuv", {_LANGUAGE: target})
            ElementTree.SubElement(version, "seg").text = _in_xml(text)
        written: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
        return written

    return texts, "text", rebuild


def _in_xml(text: str) -> str:
    """Leave out the control characters that XML cannot hold."""
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", "", text)
