"""Translated files: kept in a directory that others may tidy up."""

import os
import shutil
import stat
import time
from pathlib import Path

import pytest

from translator.serving.translated_files import TranslatedFiles


def test_a_directory_that_was_tidied_away_is_made_again_for_its_owner_alone(tmp_path: Path) -> None:
    directory = tmp_path / "files"
    files = TranslatedFiles(str(directory))
    files.add(b"one", ".txt")
    shutil.rmtree(directory)
    name = files.add(b"two", ".txt")
    found = files.find(name)
    assert found is not None and found.read_bytes() == b"two"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no owners")
def test_a_directory_of_somebody_else_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = os.getuid()
    monkeypatch.setattr("os.getuid", lambda: owner + 1)
    with pytest.raises(PermissionError, match="belongs to somebody else"):
        TranslatedFiles(str(tmp_path)).add(b"one", ".txt")
    assert not list(tmp_path.iterdir())


def test_a_file_is_gone_after_ten_minutes_whether_another_comes_or_not(tmp_path: Path) -> None:
    files = TranslatedFiles(str(tmp_path))
    name = files.add(b"one", ".txt")
    assert files.find(name) is not None
    long_ago = time.time() - 601
    os.utime(tmp_path / name, (long_ago, long_ago))
    assert files.find(name) is None
    files.add(b"two", ".txt")
    assert not (tmp_path / name).exists()
