"""A directory that exists is complete, whatever happens while it is written."""

import contextlib
import errno
import itertools
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from translator.errors import OutputError
from translator.runtime import directories
from translator.runtime.directories import new_directory, remove_directory, remove_partial
from translator.runtime.files import PARTIAL, create_file, write_text

# All that changes a disk.
CALLS = ("open", "fsync", "mkdir", "rename", "replace", "rmdir", "unlink")


@pytest.fixture(autouse=True)
def without_syncing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process wrote outlives it unsynced; syncing only takes time here."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def die_before(last: int) -> None:
    """Let this process die of SIGKILL before it changes the disk once more after `last` changes."""
    calls = itertools.count()

    def watched(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if next(calls) == last:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **options)

        return call

    for name in CALLS:
        setattr(os, name, watched(getattr(os, name)))


def crashes(work: Callable[[], object]) -> Iterator[int]:
    """Do `work` in processes that die of SIGKILL before their first, second, ... call until one survives."""
    for last in itertools.count():
        child = os.fork()
        if not child:
            with contextlib.suppress(Exception):
                die_before(last)
                work()
                os._exit(0)
            os._exit(1)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        yield last
        if code == 0:
            return
        assert code == -signal.SIGKILL


def everything(directory: Path) -> list[str]:
    """Take all that a directory holds for ours."""
    return [str(file.relative_to(directory)) for file in directory.rglob("*")]


def fill(directory: Path, text: str) -> None:
    with new_directory(directory, everything) as partial:
        (partial / "inner").mkdir()
        (partial / "inner" / "file").write_text(text)
        (partial / "other").write_text(text)


def content(directory: Path) -> dict[str, str]:
    return {str(file.relative_to(directory)): file.read_text() for file in directory.rglob("*") if file.is_file()}


OLD, NEW = ({"inner/file": text, "other": text} for text in ("old", "new"))


def test_nothing_appears_until_it_is_whole_and_nothing_stays_after_an_error(tmp_path: Path) -> None:
    directory = tmp_path / "made"
    with pytest.raises(OSError, match="disk full"), new_directory(directory, everything) as partial:
        (partial / "file").write_text("half")
        assert not directory.exists()
        raise OSError("disk full")
    assert list(tmp_path.iterdir()) == []


def test_the_old_directory_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    directory = tmp_path / "made"
    with new_directory(directory, everything) as partial:
        (partial / "old").write_text("1")
    with pytest.raises(ValueError, match="broken"), new_directory(directory, everything) as partial:
        raise ValueError("broken")
    assert [file.name for file in directory.iterdir()] == ["old"]
    with new_directory(directory, everything) as partial:
        (partial / "new").write_text("2")
    assert [file.name for file in directory.iterdir()] == ["new"]
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


def test_a_crash_at_any_moment_leaves_nothing_or_the_new_directory(tmp_path: Path) -> None:
    directory, seen = tmp_path / "made", []
    for _ in crashes(lambda: fill(directory, "new")):
        remove_partial(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == (["made"] if directory.exists() else [])
        seen.append(content(directory))
    assert seen[0] == {} and seen[-1] == NEW and all(found in ({}, NEW) for found in seen)
    assert len(seen) > 8


@pytest.mark.parametrize("by_the_next", ["start", "write", "nothing"])
def test_a_crash_at_any_moment_of_a_replacement_leaves_the_old_or_the_new(
    tmp_path: Path, by_the_next: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by_the_next == "nothing":
        one, two = tmp_path / "one", tmp_path / "two"
        one.mkdir()
        two.mkdir()
        if not directories.exchange(one, two):
            pytest.skip("this system cannot exchange two directories in one step")
        one.rmdir()
        two.rmdir()
    else:
        monkeypatch.setattr(directories, "exchange", lambda first, second: False)
    directory, seen = tmp_path / "made", []
    fill(directory, "old")
    for _ in crashes(lambda: fill(directory, "new")):
        if by_the_next == "start":
            remove_partial(tmp_path)
        elif by_the_next == "write":
            with pytest.raises(OSError, match="full"), new_directory(directory, everything):
                raise OSError("full")
        left = [path.name for path in tmp_path.iterdir() if by_the_next != "nothing" or path.name[0] != "."]
        assert left == ["made"]
        seen.append(content(directory))
        fill(directory, "old")
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
    assert seen[0] == OLD and seen[-1] == NEW and all(found in (OLD, NEW) for found in seen)
    assert len(seen) > 10


def test_a_crash_at_any_moment_of_a_removal_leaves_all_or_nothing(tmp_path: Path) -> None:
    directory, seen = tmp_path / "made", []
    fill(directory, "old")
    for _ in crashes(lambda: remove_directory(directory)):
        remove_partial(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == (["made"] if directory.exists() else [])
        seen.append(content(directory))
        fill(directory, "old")
    assert seen[0] == OLD and seen[-1] == {} and all(found in ({}, OLD) for found in seen)


def test_a_crash_at_any_moment_of_a_file_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    file, seen = tmp_path / "scores.json", []
    write_text(file, "old")
    for _ in crashes(lambda: write_text(file, "new")):
        remove_partial(tmp_path)
        assert list(tmp_path.iterdir()) == [file]
        seen.append(file.read_text())
    assert seen[0] == "old" and seen[-1] == "new" and set(seen) == {"old", "new"}


def test_what_was_to_be_replaced_comes_back_where_the_new_one_cannot_take_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directories, "exchange", lambda first, second: False)
    directory, renames, real = tmp_path / "made", itertools.count(), os.rename
    fill(directory, "old")

    def refuse_the_second(*names: Any) -> None:
        if next(renames) == 1:
            raise OSError("not now")
        real(*names)

    monkeypatch.setattr(os, "rename", refuse_the_second)
    with pytest.raises(OSError, match="not now"):
        fill(directory, "new")
    assert content(directory) == OLD
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "scores.json"
    write_text(file, "old")

    def refuse(descriptor: int) -> None:
        raise OSError("full")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="full"):
        write_text(file, "new")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_an_error_of_the_system_names_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError) as caught:
        write_text(tmp_path / "a.txt", "text")
    assert caught.value.filename == str(tmp_path / "a.txt")
    with pytest.raises(OSError) as caught, new_directory(tmp_path / "a", everything):
        full()
    assert caught.value.filename == str(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [".", "..", "/", "", "x" * 201])
def test_a_directory_without_a_name_of_its_own_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "inside").mkdir()
    monkeypatch.chdir(tmp_path / "inside")
    for path in (Path(name), *([Path.cwd()] if name == "." else [])):
        with pytest.raises(OutputError, match="working directory or has no name|longer than 200 bytes"):
            fill(path, "new")
    assert [path.name for path in tmp_path.rglob("*")] == ["inside"]


def test_work_of_a_living_process_is_no_leftover(tmp_path: Path) -> None:
    with new_directory(tmp_path / "made", everything) as partial:
        (partial / "file").touch()
        assert remove_partial(tmp_path) == []
    partial, descriptor = create_file(tmp_path / "file", PARTIAL)
    write_text(tmp_path / "file", "another")
    assert partial.exists()
    os.close(descriptor)
    write_text(tmp_path / "file", "another")
    assert not partial.exists()


def test_a_name_as_long_as_a_file_system_takes_it(tmp_path: Path) -> None:
    file = tmp_path / ("ü" * 127)
    for text in ("old", "new"):
        write_text(file, text)
    assert file.read_text() == "new" and [path.name for path in tmp_path.iterdir()] == [file.name]
