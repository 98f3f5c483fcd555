"""Parallel corpora by their names in mtdata, which knows those of OPUS, WMT and others, and downloads them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from translator.errors import DataError
from translator.text.corpus import Corpus, Languages, Pair, one_line
from translator.text.languages import same_language

_HINT = "`mtdata list -l de-en` lists the names of sets"


def open_mtdata_set(name: str, wanted: Languages) -> Corpus:
    """Open a set such as `OPUS-books-v1-deu-eng`; it is downloaded once into mtdata's cache (`~/.mtdata`).

    The wanted languages say which side is the source; by default the first in the name is. Raises `DataError` if
    mtdata is not installed, does not know the set, or cannot download it.
    """
    where = f"mtdata:{name}"
    try:
        from mtdata import cache_dir
        from mtdata.cache import Cache
        from mtdata.entry import DatasetId
        from mtdata.index import INDEX
        from mtdata.parser import Parser
    except ImportError:
        raise DataError(f"{where} needs the library mtdata; install it (`pip install mtdata`)") from None
    try:
        identity = DatasetId.parse(name)
        found = identity in INDEX
    except Exception as error:  # Of any kind, for a name in another form.
        raise DataError(f"{where} is no name of a set ({_first_line(error)}); {_HINT}") from None
    if not found:
        raise DataError(f"mtdata knows no set {name}; {_HINT}")
    languages = tuple(str(language) for language in identity.langs)
    if len(languages) != 2:
        raise DataError(f"{where} has {len(languages)} language; expected a parallel corpus; {_HINT}")
    swapped = _are_swapped(where, languages, wanted)
    entry = INDEX[identity]
    try:
        paths = Cache(Path(cache_dir)).get_entry(entry)
    except Exception as error:  # Failures of the network, of archives and of servers, all in kinds of their own.
        raise DataError(f"cannot download {where}: {_first_line(error)}; check the network") from None

    def pairs() -> Iterator[Pair]:
        segments: Iterator[Any] = Parser(paths, ext=entry.in_ext or None, ent=entry).read_segs(show_pbar=False)
        number = 0
        try:
            for number, segment in enumerate(segments, start=1):  # noqa: B007 (the message below needs it)
                first, second = (one_line(side or "") for side in segment[:2])
                yield (second, first) if swapped else (first, second)
        except Exception as error:
            raise DataError(f"{where}, pair {number + 1:,}: {_first_line(error)}") from None

    # A name says the version, and the same version has the same content.
    own = languages[::-1] if swapped else languages
    return Corpus(
        where, [], (own[0], own[1]) if wanted == (None, None) else wanted, pairs, revision=f"{where} {swapped}"
    )


def _are_swapped(where: str, languages: tuple[str, ...], wanted: Languages) -> bool:
    if wanted[0] is None or wanted[1] is None:
        return False
    first, second = languages
    if same_language(wanted[0], first) and same_language(wanted[1], second):
        return False
    if same_language(wanted[0], second) and same_language(wanted[1], first):
        return True
    raise DataError(
        f"{where} is in {first} and {second}, but data.source_language and data.target_language are {wanted[0]} and "
        f"{wanted[1]}"
    )


def _first_line(error: Exception) -> str:
    return (str(getattr(error, "msg", error)) or type(error).__name__).splitlines()[0]
