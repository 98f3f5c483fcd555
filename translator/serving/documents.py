"""Files to translate: what of each format is text, and how the translations are put back."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from translator.serving.memories import look_into_memory, open_memory
from translator.serving.refusals import DocumentError
from translator.serving.subtitles import open_subtitles
from translator.serving.texts import sample_of
from translator.serving.word_documents import open_word

FORMATS = (".txt", ".html", ".htm", ".srt", ".tmx", ".docx")
Rebuild = Callable[[Sequence[str]], bytes]


class Look(NamedTuple):
    """What tells the language of a file."""

    stated: list[str]
    """Languages of its sources that the file names, the most likely first."""
    sample: str
    """Text from its beginning, without markup."""


def open_document(name: str, data: bytes, source: str, target: str) -> tuple[list[str], str, Rebuild]:
    """Return the texts of a file, their markup (`Marking.markup`), and what makes the file of their translations.

    Raises `DocumentError` if the format is unknown or the file is damaged.
    """
    return open_memory(data, source, target) if _ending(name) == ".tmx" else _open_monolingual(name, data)


def look_into_document(name: str, data: bytes) -> Look:
    """Return what tells the language of a file; raise `DocumentError` as `open_document` does."""
    if _ending(name) == ".tmx":
        stated, texts = look_into_memory(data)
        return Look(stated, sample_of(texts, "none"))
    texts, markup, _ = _open_monolingual(name, data)
    return Look([], sample_of(texts, markup))


def _ending(name: str) -> str:
    """Return the ending of a name, which is one of `FORMATS`; raise `DocumentError` if it is not."""
    ending = name[name.rfind(".") :].lower() if "." in name else ""
    if ending not in FORMATS:
        raise DocumentError(f"found a file of the format {ending or 'without a name'}, expected {', '.join(FORMATS)}")
    return ending


def _open_monolingual(name: str, data: bytes) -> tuple[list[str], str, Rebuild]:
    """Open a file whose texts are all in one language."""
    ending = _ending(name)
    if ending == ".docx":
        texts, rebuild = open_word(data)
        return texts, "html", rebuild
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentError(f"the file is not UTF-8 (byte {error.start:,})") from None
    if ending == ".srt":
        texts, rebuild = open_subtitles(text)
        return texts, "subtitle", rebuild
    return [text], "html" if ending in (".html", ".htm") else "none", lambda texts: texts[0].encode("utf-8")
