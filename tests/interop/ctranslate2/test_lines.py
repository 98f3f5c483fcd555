"""What is promised about lines holds for CTranslate2 too: N lines in, N lines out, and no line depends on others."""

import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from translator.checkpoints import load_bundle
from translator.text import decode_lines
from translator.text.encoding import binary_kind, foreign_encoding, wide_encoding
from translator.translation import Translator

pytest.importorskip("ctranslate2", reason="ctranslate2 has no wheel for this platform")

LINES = [
    "a dog runs.",
    "",
    "the man reads",
    " \r",
    "x",
    "the cat sleeps. " * 9,
    "ba\0ll </s> ▁",
    "🙂\u0085 end\r",
    "a\u2028b",
]
SHORT = {"max_length_factor": 1.0, "max_length_extra": 3}


@pytest.fixture(scope="module")
def translator(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Translator]:
    bundle = dataclasses.replace(
        load_bundle(tiny_run, device="cpu", threads=2), directory=tmp_path_factory.mktemp("run")
    )
    yield Translator(bundle, "ctranslate2")


@given(data=st.binary(max_size=80).map(lambda data: data.replace(b"#", b"\n")))
@settings(max_examples=40, deadline=None)
def test_as_many_lines_out_as_in_for_arbitrary_bytes(translator: Translator, data: bytes) -> None:
    assume(not (foreign_encoding(data) or wide_encoding(data) or binary_kind(data)))
    count = data.count(b"\n") + (data != b"" and not data.endswith(b"\n"))
    found = list(translator.translate(decode_lines(io.BytesIO(data), "stdin"), beam_size=1, **SHORT))
    assert len(found) == count
    assert "\n" not in "".join(found)


@pytest.mark.parametrize(
    "asked", [{"beam_size": 1}, {"beam_size": 3}, {"beam_size": 3, "length_penalty": "mean"}], ids=str
)
@pytest.mark.parametrize("quantize", ["none", "int8"])
def test_a_line_is_translated_alone_as_among_others(
    translator: Translator, asked: dict[str, Any], quantize: str
) -> None:
    options = {**asked, **SHORT, "quantize": quantize}
    together = list(translator.translate(LINES, **options))
    assert [line.endswith("\r") for line in together] == [line.endswith("\r") for line in LINES]
    assert (together[1], together[3]) == ("", " \r")
    assert len(set(together)) > 4
    assert together == [next(translator.translate([line], **options)) for line in LINES]
    assert together == list(translator.translate(LINES, window=2, batch_tokens=1, **options))
    assert together[::-1] == list(translator.translate(LINES[::-1], **options))


def test_lines_that_are_read_one_by_one_come_back_one_by_one(translator: Translator) -> None:
    def lines() -> Iterator[str]:
        yield from ["a dog", "the cat"]
        raise AssertionError("read too far")

    found = translator.translate(lines(), window=1, **SHORT)
    assert [next(found), next(found)] == list(translator.translate(["a dog", "the cat"], **SHORT))


def test_blank_lines_never_reach_the_library(translator: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing:
        def translate_batch(self, *_: Any, **__: Any) -> None:
            raise AssertionError("the library was asked")

    monkeypatch.setattr(translator.engine_for(translator.settings), "_translator", Refusing())
    lines = ["", "  ", "\t", "\r", "\r\r", " \r", "\u2003"]
    assert list(translator.translate(lines)) == lines
    with pytest.raises(AssertionError, match="the library was asked"):
        list(translator.translate(["", "a"]))
