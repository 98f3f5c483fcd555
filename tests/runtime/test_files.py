"""A directory that exists is complete, whatever happens while it is written."""

from pathlib import Path

import pytest

from translator.runtime.files import new_directory, remove_partial, write_text


def test_nothing_appears_until_it_is_whole_and_nothing_stays_after_an_error(tmp_path: Path) -> None:
    place = tmp_path / "made"
    with pytest.raises(OSError, match="disk full"), new_directory(place) as partial:
        (partial / "file").write_text("half")
        assert not place.exists()
        raise OSError("disk full")
    assert list(tmp_path.iterdir()) == []


def test_the_old_directory_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    place = tmp_path / "made"
    with new_directory(place) as partial:
        (partial / "old").write_text("1")
    with pytest.raises(ValueError, match="broken"), new_directory(place) as partial:
        raise ValueError("broken")
    assert [file.name for file in place.iterdir()] == ["old"]
    with new_directory(place) as partial:
        (partial / "new").write_text("2")
    assert [file.name for file in place.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_what_a_crash_leaves_is_recognised_and_removed(tmp_path: Path) -> None:
    (tmp_path / ".step-00000005.partial").mkdir()
    (tmp_path / ".step-00000005.partial" / "model").write_text("half")
    (tmp_path / ".config.yaml.partial").write_text("half")
    (tmp_path / "step-00000004").mkdir()
    assert len(remove_partial(tmp_path)) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000004"]


def test_text_files_are_replaced_as_a_whole(tmp_path: Path) -> None:
    file = tmp_path / "scores.json"
    write_text(file, "first")
    write_text(file, "second ü")
    assert file.read_text(encoding="utf-8") == "second ü"
    assert list(tmp_path.iterdir()) == [file]
