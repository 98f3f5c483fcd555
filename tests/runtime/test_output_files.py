"""Where a file could not be written is said before the work."""

import os
from pathlib import Path

import pytest

from translator.errors import DataError, TranslatorError
from translator.runtime.outputs import check_output, write_output


@pytest.mark.parametrize("name", ["a.png", "a.PNG", "new/dir/a.svg"])
def test_what_is_allowed_can_be_written(tmp_path: Path, name: str) -> None:
    check_output(tmp_path / name, (".png", ".svg"))
    assert not list(tmp_path.iterdir())
    assert write_output(tmp_path / name, b"content").read_bytes() == b"content"


def test_other_endings_are_refused_with_those_expected(tmp_path: Path) -> None:
    for name in ("a.gif", "png", "a.png.gz"):
        with pytest.raises(DataError, match=r"expected a file name that ends in \.png, \.svg"):
            check_output(tmp_path / name, (".png", ".svg"))


def test_places_that_take_no_file_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "directory.png").mkdir()
    (tmp_path / "file").touch()
    for path, reason in (
        (tmp_path / "directory.png", "it is a directory"),
        (tmp_path / "file" / "a.png", "is not a directory"),
        (tmp_path / "file" / "b" / "a.png", "is not a directory"),
    ):
        with pytest.raises(TranslatorError, match=rf"cannot be written \(.*{reason}.*\); choose another path"):
            check_output(path, (".png",))
        with pytest.raises(TranslatorError, match="cannot be written"):
            write_output(path, b"content")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(TranslatorError, match=f"no permission to write in {tmp_path}"):
        check_output(tmp_path / "new" / "a.png", (".png",))


def test_a_file_that_cannot_be_replaced_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_output(tmp_path / "a.json", b"old")
    monkeypatch.setattr(Path, "replace", lambda self, target: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(TranslatorError, match="No space left"):
        write_output(path, b"new")
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"] and path.read_bytes() == b"old"
