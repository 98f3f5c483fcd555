"""Parallel corpora in a zip archive with a text file for each side, as OPUS offers them in Moses format."""

import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from translator.config.corpus_spec import without_compression
from translator.errors import DataError
from translator.text.compression import DamagedStream
from translator.text.corpus import Corpus, Languages, Pair
from translator.text.corpus_lines import lines_of
from translator.text.formats.text_pair import read_text_pair
from translator.text.languages import language_code, same_language

_SHOWN = 12
_SPARED_BYTES = 256 << 20
_MAX_EXPANSION = 500
"""A member of more than `_SPARED_BYTES` may unpack to this many times its size; text does to ten times."""

# All that `zipfile` raises for data that are not what it expects.
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, KeyError, ValueError, RuntimeError, struct.error,
)  # fmt: skip


def open_archive(file: Path, wanted: Languages) -> Corpus:
    """Open an archive by the two members whose names end in languages; nothing is unpacked to the disk.

    Raises `DataError` if it is damaged or encrypted, if names of members lead outside, if they unpack to sizes beyond
    reason, or if there are not exactly two texts in the languages.
    """
    members = {member.filename: member for member in _members(file)}
    names = _choose(file, list(members), wanted)
    for name in names:
        _check(file, members[name])
    found = [_ending(name) for name in names]
    codes = [language_code(ending) or ending for ending in found]
    languages = wanted if wanted != (None, None) else (codes[0], codes[1])

    def lines(name: str) -> Iterator[str]:
        return lines_of(lambda: _open(file, name), f"{file}: {name}")

    def pairs() -> Iterator[Pair]:
        shown = (f"{file}: {names[0]}", f"{file}: {names[1]}")
        return read_text_pair(lambda: lines(names[0]), lambda: lines(names[1]), shown)

    return Corpus(str(file), [file], languages, pairs)


def _members(file: Path) -> list[zipfile.ZipInfo]:
    try:
        with zipfile.ZipFile(file) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
    except _DAMAGE as error:
        raise DataError(f"{file}: not a readable zip archive ({error}); copy or download it again") from None
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror or error}") from None
    for member in members:
        path = PurePosixPath(member.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or path.parts[0][1:2] == ":":
            raise DataError(f"{file}: the name of the member {member.filename!r} leads outside the archive; refused")
    return members


def _check(file: Path, member: zipfile.ZipInfo) -> None:
    if member.flag_bits & 1:
        raise DataError(f"{file}: {member.filename} is encrypted; unpack it and name the files")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        raise DataError(
            f"{file}: {member.filename} is compressed in a way that is not known; unpack it and name the files"
        )
    if member.file_size > max(_SPARED_BYTES, _MAX_EXPANSION * member.compress_size):
        raise DataError(
            f"{file}: {member.filename} unpacks to {member.file_size:,} bytes, more than {_MAX_EXPANSION} times its "
            "size; it is no text"
        )


def _choose(file: Path, names: list[str], wanted: Languages) -> tuple[str, str]:
    """Return the members with source and target."""
    if wanted[0] is not None and wanted[1] is not None:
        found = [[name for name in names if same_language(side, _ending(name))] for side in (wanted[0], wanted[1])]
        expected = f"one with the ending .{wanted[0]} and one with .{wanted[1]}"
    else:
        texts = [name for name in names if language_code(_ending(name))]
        order = dict.fromkeys(_ending(name) for name in sorted(texts, key=_position))
        found = [[name for name in texts if _ending(name) == ending] for ending in order]
        expected = "two whose endings are languages, such as a.en and a.de"
    if len(found) != 2 or any(len(side) != 1 for side in found):
        listed = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
        raise DataError(
            f"{file}: found the members {listed or 'none'}; expected {expected}, or unpack it and name the files"
        )
    return found[0][0], found[1][0]


def _position(name: str) -> int:
    """Sort the sides as the name has them (`Books.de-en.de` before `Books.de-en.en`), else as the archive does."""
    ending = _ending(name)
    stem = PurePosixPath(name).name.removesuffix(f".{ending}")
    return stem.rpartition(".")[2].find(ending)


def _ending(name: str) -> str:
    return PurePosixPath(without_compression(name)).suffix[1:]


def _open(file: Path, name: str) -> BinaryIO:
    return cast(BinaryIO, io.BufferedReader(_Member(file, name)))


def _damaged(error: Exception) -> DamagedStream:
    return DamagedStream(f"the zip data are damaged ({error}). Copy or download it again")


class _Member(io.RawIOBase):
    """The bytes of a member, whose damage is that of any compressed stream."""

    def __init__(self, file: Path, name: str) -> None:
        try:
            self._archive = zipfile.ZipFile(file)
            self._stream = cast(zipfile.ZipExtFile, self._archive.open(name))
        except _DAMAGE as error:
            raise _damaged(error) from None

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            self._archive.close()
        super().close()

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._stream.read1(len(buffer))
        except _DAMAGE as error:
            raise _damaged(error) from None
        buffer[: len(data)] = data
        return len(data)
