"""JSON of our own that was changed: what is wrong is said, with the file and what to do."""

from pathlib import Path

import pytest

from translator.errors import DataError
from translator.runtime import json_files
from translator.runtime.json_files import mismatch, read_json

SHAPE = {"step": int, "loss?": float, "names": [str], "hashes": {str: str}, "scaler?": (None, {str: float})}
GOOD = '{"step": 3, "loss": NaN, "names": ["a"], "hashes": {"f": "0"}, "scaler": null, "more": [[]]}'


def test_what_has_the_shape_is_read(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(GOOD)
    assert read_json(file, SHAPE, DataError, "")["names"] == ["a"]
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "b.json", SHAPE, DataError, "")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "Expecting value"),
        (b"{", "Expecting property name"),
        (b"\xff\xfe", "can't decode byte 0xff"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
        (b"[]", "found a list, expected an object"),
        (b"3", "found a whole number, expected an object"),
        (b"{}", "`step` is missing"),
        (GOOD.replace("3", "true").encode(), "`step`: found true or false, expected a whole number"),
        (GOOD.replace("3", "1.5").encode(), "`step`: found a number, expected a whole number"),
        (GOOD.replace("3", "9" * 30).encode(), "`step`: found a whole number out of range"),
        (GOOD.replace("3", "9" * 5000).encode(), "Exceeds the limit"),
        (GOOD.replace('"a"', "{}").encode(), "`names[0]`: found an object, expected text"),
        (GOOD.replace('"0"', "0").encode(), "`hashes.f`: found a whole number, expected text"),
        (GOOD.replace("null", '{"a": "b"}').encode(), "`scaler`: found an object, expected null"),
        (b'"' + b"x" * 2000 + b'"', "larger than"),
    ],
)
def test_another_shape_is_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, expected: str
) -> None:
    if "larger" in expected:
        monkeypatch.setattr(json_files, "MAX_BYTES", 1000)
    file = tmp_path / "a.json"
    file.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_json(file, SHAPE, DataError, "delete it")
    assert str(caught.value).startswith(f"{file} is damaged (") and str(caught.value).endswith("; delete it")
    assert expected in str(caught.value)


def test_a_directory_in_its_place_and_a_name_too_long(tmp_path: Path) -> None:
    for file, expected in ((tmp_path, "Is a directory"), (tmp_path / ("x" * 300), "File name too long")):
        with pytest.raises(DataError, match=f"cannot be read \\({expected}\\); delete it"):
            read_json(file, SHAPE, DataError, "delete it")


def test_anything_is_an_object() -> None:
    assert all(mismatch(value, object) is None for value in (None, 1, [], {}, "a"))


def test_a_link_to_nothing_is_damage(tmp_path: Path) -> None:
    (tmp_path / "file").symlink_to("nowhere")
    with pytest.raises(DataError, match="file is a link to a file that does not exist; delete it"):
        read_json(tmp_path / "file", SHAPE, DataError, "delete it")
