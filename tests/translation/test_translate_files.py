"""Files in, a stream or a file out: the count is checked, and nothing is read or written before all is in order."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from translator.errors import ConfigError, TranslatorError
from translator.translation import Translator, translate_inputs


@pytest.fixture(scope="module")
def translator(tiny_run: Path) -> Translator:
    return Translator.load(tiny_run, device="cpu")


def test_lines_that_get_lost_are_an_error(
    translator: Translator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No way is known to lose one; if there is, it must not stay hidden, and there must be no file."""
    honest = translator.translate_blocks

    def forgetful(*arguments: Any, **options: Any) -> Iterator[Any]:
        return (line for line in honest(*arguments, **options) if line.source != "b")

    monkeypatch.setattr(translator, "translate_blocks", forgetful)
    inputs: Any = [("text", io.BytesIO(b"a\nb\nc\n"))]
    with pytest.raises(TranslatorError, match="3 lines were read, but 2 translated; this is a bug"):
        translate_inputs(translator, inputs, translator.settings, output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_is_read_before_all_is_in_order(translator: Translator, tmp_path: Path) -> None:
    stream: Any = io.BytesIO(b"a\n")
    several = translator.settings.model_copy(update={"n_best": 2})
    with pytest.raises(ConfigError, match="text has one translation a line"):
        translate_inputs(translator, [("text", stream)], several, output=tmp_path / "out")
    with pytest.raises(ConfigError, match="has one target language only"):
        translate_inputs(translator, [("text", stream)], translator.settings, output=tmp_path / "out", to="de")
    assert stream.tell() == 0
    assert not list(tmp_path.iterdir())
