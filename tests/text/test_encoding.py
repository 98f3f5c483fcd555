"""Text in other encodings, and data that are no text, are told from text in UTF-8."""

import io
import random
from pathlib import Path

import pytest

from translator.errors import DataError
from translator.text import decode_lines, read_lines
from translator.text.encoding import binary_kind, wide_encoding

TEXTS = {
    "en": "A dog runs over the meadow.\nAnother one.\n",
    "ja": "犬が走る。\n本を読む人が、いる。\nカタカナ\n",
    "zh": "我们在这里。\n你好,世界。\n再见\n",
    "ru": "Собака бежит по лугу.\nДа\n",
    "th": "สุนัขวิ่ง\nดี มาก\n",
    "ko": "개가 달린다.\n네\n",
    "ar": "الكلب يركض\nنعم\n",
}


@pytest.mark.parametrize("language", TEXTS)
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark_is_named_with_its_byte_order(tmp_path: Path, language: str, encoding: str) -> None:
    data = TEXTS[language].encode(encoding)
    name = f"UTF-16{encoding[-2:].upper()}"
    assert wide_encoding(data) == name
    (tmp_path / "a.txt").write_bytes(data)
    message = f"is {name}; expected UTF-8. Convert it: `iconv -f {name} -t UTF-8`"
    with pytest.raises(DataError, match=message):
        list(read_lines(tmp_path / "a.txt"))
    with pytest.raises(DataError, match=message):
        list(decode_lines(io.BufferedReader(io.BytesIO(data)), "a.txt"))  # type: ignore[type-var]


@pytest.mark.parametrize("language", TEXTS)
def test_utf8_and_other_encodings_are_text(language: str) -> None:
    for encoding in ("utf-8", "gb18030", "shift_jis", "cp1251", "euc-kr", "tis-620"):
        data = TEXTS[language].encode(encoding, errors="replace")
        assert (wide_encoding(data), binary_kind(data)) == (None, None), encoding


def test_random_bytes_are_no_text_in_utf16_and_binary() -> None:
    for seed in range(200):
        data = random.Random(seed).randbytes(1000)
        assert (wide_encoding(data), binary_kind(data)) == (None, "binary data")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"PK\x03\x04 and more", "a zip archive"),
        (b"%PDF-1.7\n%\xe2\xe3", "a PDF document"),
        (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
        (b"PAR1\x15\x04", "a Parquet file"),
        (bytes(range(256)), "binary data"),
    ],
)
def test_binary_data_are_refused_in_one_sentence(tmp_path: Path, data: bytes, kind: str) -> None:
    (tmp_path / "a.en").write_bytes(data)
    with pytest.raises(DataError, match=f"a.en is {kind}.*, not text; expected lines of text in UTF-8$") as caught:
        list(read_lines(tmp_path / "a.en"))
    assert "iconv" not in str(caught.value)
    with pytest.raises(DataError, match=f"a.en is {kind}"):
        list(decode_lines(io.BufferedReader(io.BytesIO(data)), "a.en"))  # type: ignore[type-var]


def test_binary_data_inside_text_are_not_called_latin1(tmp_path: Path) -> None:
    (tmp_path / "a.en").write_bytes(b"good\n" * 2000 + random.Random(1).randbytes(5000))
    with pytest.raises(DataError, match=r"a.en, line 2,00\d, byte \d+: binary data begin there; the file is damaged"):
        list(read_lines(tmp_path / "a.en"))


def test_a_few_control_characters_are_text() -> None:
    assert binary_kind(b"\x1b[1mbold\x1b[0m and a NUL \0 in a sentence that is long enough to judge\n") is None
    assert binary_kind("Grüße aus Köln, ein längerer Satz in einer alten Kodierung.\n".encode("latin1") * 3) is None
