"""The figures of a report, against counting by hand."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from translator.config import Config, write_config
from translator.data import describe_report, find_prepared, prepare, report
from translator.errors import DataError

Pairs = list[tuple[str, str]]


def test_figures_equal_counting(
    tmp_path: Path,
    corpus: Callable[[str, Pairs], str],
    settings: Callable[..., Config],
    pairs: Callable[[int, int], Pairs],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The package has a function of the same name as the module.
    monkeypatch.setattr(sys.modules["translator.data.report"], "_CHUNK_PAIRS", 2)
    valid = [*pairs(90, 2), ("dog " * 40, "Hund " * 40), ("漢字 dog", "Hund 🙂"), ("", "")]
    train = [*pairs(0, 50), ("", "leer"), pairs(4, 1)[0]]
    prepared = prepare(settings(train=corpus("train", train), valid=corpus("valid", valid)), tmp_path / "out")
    figures = report(prepared)
    assert json.loads(json.dumps(figures)) == figures
    assert (figures["read"], figures["held_out"], figures["languages"]) == (52, 0, ["en", "de"])
    assert figures["dropped"] == {
        "blank": 1, "leak": 0, "mojibake": 0, "duplicate": 1, "length": 0, "length_ratio": 0,
    }  # fmt: skip
    assert list(figures["sets"]) == ["train", "valid"]
    assert figures["suggested_preset"] == "tiny"
    for index, side in enumerate(("source", "target")):
        entry = figures["sets"]["valid"][side]
        tokenizer = getattr(prepared.tokenizers, side)
        rows = tokenizer.encode([pair[index] for pair in valid])
        flat = [piece for row in rows for piece in row]
        lengths = sorted(map(len, rows))
        assert entry["pieces"] == len(flat)
        assert entry["mean"] == pytest.approx(len(flat) / 5)
        assert (entry["longest"], entry["percentiles"]["50"]) == (lengths[-1], lengths[2])
        assert entry["percentiles"]["99"] == lengths[-1]
        assert entry["byte_rate"] == pytest.approx(sum(map(tokenizer.is_byte, flat)) / len(flat))
        assert entry["byte_rate"] > 0 == entry["unknown_rate"]


def test_without_byte_fallback_lost_characters_are_counted(
    tmp_path: Path,
    corpus: Callable[[str, Pairs], str],
    settings: Callable[..., Config],
    pairs: Callable[[int, int], Pairs],
) -> None:
    sections = {"tokenizer": {"vocab_size": 300, "byte_fallback": False}}
    data = {"train": corpus("train", pairs(0, 50)), "valid": corpus("valid", [("dog 漢", "Hund")])}
    figures = report(prepare(settings(sections, **data), tmp_path / "out"))
    valid = figures["sets"]["valid"]
    assert valid["source"]["unknown_rate"] == pytest.approx(1 / valid["source"]["pieces"])
    assert valid["target"]["unknown_rate"] == valid["source"]["byte_rate"] == 0


def test_the_page_holds_the_figures(
    tmp_path: Path,
    corpus: Callable[[str, Pairs], str],
    settings: Callable[..., Config],
    pairs: Callable[[int, int], Pairs],
) -> None:
    train = [*pairs(0, 50), ("", "leer")]
    page = describe_report(report(prepare(settings(train=corpus("train", train)), tmp_path / "out")))
    assert "training pairs: 51 read, of which 5 held out for validation, 46 kept" in page
    assert "en to de, 340 pieces in the vocabulary" in page
    assert "preset that suits the text: tiny" in page
    for name in ("train source", "train target", "valid source", "valid target", "blank source or target"):
        assert name in page
    assert "test source" not in page
    assert max(map(len, page.split("\n"))) <= 120


def test_prepared_data_are_found_by_their_own_directory_or_the_run(
    tmp_path: Path,
    corpus: Callable[[str, Pairs], str],
    settings: Callable[..., Any],
    pairs: Callable[[int, int], Pairs],
) -> None:
    config = settings(train=corpus("train", pairs(0, 30)))
    prepared = prepare(config, tmp_path / "run" / "prepared")
    assert find_prepared(tmp_path / "run" / "prepared") == tmp_path / "run" / "prepared"
    # The run says where it was made; it has been moved since.
    write_config(config.model_copy(update={"run": "long/gone"}), tmp_path / "run" / "config.yaml")
    assert find_prepared(tmp_path / "run") == prepared.directory
    with pytest.raises(DataError, match="is neither a run .* nor prepared data"):
        find_prepared(tmp_path)


def test_a_synthetic_corpus_is_not_taken_for_damaged_data(tmp_path: Path) -> None:
    for name in ("request.json", "manifest.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(DataError, match="is a corpus of `translator synthesize`, not prepared data"):
        find_prepared(tmp_path)
