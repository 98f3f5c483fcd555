"""Preparing data: what is kept, what is refused before any work, and when nothing is done again."""

import gzip
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from translator.config import Config, auto_preset
from translator.data import ParallelDataset, PreparedData, load_prepared, prepare
from translator.errors import DataError, TokenizerError
from translator.text import Tokenizer, train_tokenizers

Pairs = list[tuple[str, str]]

MakePairs = Callable[[int, int], Pairs]
Write = Callable[[str, Pairs], str]
Settings = Callable[..., Config]


def decoded(dataset: ParallelDataset, tokenizers: Any) -> Pairs:
    return [
        (tokenizers.source.decode(dataset.source(index)), tokenizers.target.decode(dataset.target(index)))
        for index in range(len(dataset))
    ]


def snapshot(directory: Path) -> dict[str, tuple[int, int, bytes]]:
    return {file.name: (file.stat().st_ino, file.stat().st_mtime_ns, file.read_bytes()) for file in directory.iterdir()}


def test_the_whole_way(tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs) -> None:
    train, valid, test = pairs(0, 80), pairs(100, 6), pairs(200, 5)
    config = settings(train=corpus("train", train), valid=corpus("valid", valid), test=corpus("test", test))
    prepared = prepare(config, tmp_path / "out")
    assert decoded(prepared.train, prepared.tokenizers) == train
    assert [prepared.valid.text(index) for index in range(6)] == valid
    assert prepared.test is not None
    assert [prepared.test.text(index) for index in range(5)] == test
    assert not prepared.train.has_text
    assert (prepared.config.data.source_language, prepared.config.data.target_language) == ("en", "de")
    names = {"train.arrow", "train.scan", "valid.arrow", "test.arrow", "tokenizer.model", "manifest.json"}
    assert {file.name for file in (tmp_path / "out").iterdir()} == names
    assert [file.name for file in tmp_path.glob(".*")] == []


def test_every_reason_for_dropping_a_pair_is_counted(
    tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs
) -> None:
    good, valid, test = pairs(0, 60), pairs(100, 3), pairs(200, 3)
    dropped: dict[str, Pairs] = {
        "blank": [("", "leer"), ("empty", "  "), ("\u3000", "\r")],
        "leak": [
            (valid[0][0], "etwas anderes"),
            ("something else", test[1][1]),
            (f" {valid[1][0]}\r", "dort"),
            ("once more", valid[2][1]),
        ],
        "mojibake": [("he lives in KÃ¶ln", "er wohnt in Köln"), ("he lives in Bonn", "er wohnt in B\ufffdnn")],
        "duplicate": [good[3], good[3], (good[4][0] + " ", good[4][1] + "\r")],
        "length": [("word " * 30, "Wort " * 30), ("Haus " * 8, "x y z " * 15)],
        "length_ratio": [("dog", "der Hund sieht Haus 7 der Hund")],
    }
    mixed = [*good[:30], *(pair for part in dropped.values() for pair in part), *good[30:]]
    # The repetitions come before what they repeat is complete, so put the originals first.
    mixed = [*good[:10], *mixed[10:]]
    config = settings(
        train=corpus("train", mixed),
        valid=corpus("valid", valid),
        test=corpus("test", test),
        max_length=25,
        max_length_ratio=3.0,
    )
    prepared = prepare(config, tmp_path / "out")
    counts = prepared.manifest["counts"]
    assert counts["dropped"] == {reason: len(part) for reason, part in dropped.items()}
    assert decoded(prepared.train, prepared.tokenizers) == good
    assert counts["pairs"] == len(mixed) == counts["train"] + sum(counts["dropped"].values())
    assert int(prepared.train.source_lengths.min()) > 0 and int(prepared.train.target_lengths.min()) > 0
    assert max(prepared.train.source_lengths.max(), prepared.train.target_lengths.max()) <= 25


def test_duplicates_and_leaks_can_be_kept(tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs) -> None:
    train = pairs(0, 50) + pairs(0, 2)
    config = settings(
        train=corpus("train", train),
        valid=corpus("valid", pairs(5, 3)),
        drop_duplicates=False,
        drop_leaks=False,
    )
    prepared = prepare(config, tmp_path / "out")
    assert decoded(prepared.train, prepared.tokenizers) == train


def test_references_are_never_cleaned(tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs) -> None:
    odd = [
        ("", "leer"),
        ("a\r", "b\u2028c"),
        ("", ""),
        ("x " * 400, "y"),
        ("same", "gleich"),
        ("same", "gleich"),
    ]
    config = settings(train=corpus("train", pairs(0, 50)), valid=corpus("valid", odd), max_length=30)
    prepared = prepare(config, tmp_path / "out")
    assert [prepared.valid.text(index) for index in range(len(prepared.valid))] == odd
    assert prepared.valid.source_lengths[0] == 0
    assert prepared.test is None
    assert prepared.manifest["counts"]["test"] == 0


@pytest.mark.parametrize(("count", "held_out", "expected"), [(100, 1000, 10), (100, 3, 3), (12, 1000, 1), (2, 5, 1)])
def test_without_a_validation_corpus_the_last_pairs_are_held_out(
    tmp_path: Path,
    corpus: Write,
    settings: Settings,
    pairs: MakePairs,
    count: int,
    held_out: int,
    expected: int,
) -> None:
    train = pairs(0, count)
    config = settings(train=corpus("train", train), held_out=held_out)
    prepared = prepare(config, tmp_path / "out")
    found = [prepared.valid.text(index) for index in range(len(prepared.valid))]
    assert found == train[-expected:]
    assert decoded(prepared.train, prepared.tokenizers) == train[:-expected]
    assert prepared.manifest["counts"]["held_out"] == expected


def test_what_is_held_out_does_not_leak_either(
    tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs
) -> None:
    train = pairs(0, 40)
    train[7] = (train[39][0], "etwas anderes")
    prepared = prepare(settings(train=corpus("train", train), held_out=4), tmp_path / "out")
    assert prepared.manifest["counts"]["dropped"]["leak"] == 1
    assert len(prepared.train) == 35
    # Nor does the tokenizer see it.
    alone = train_tokenizers(lambda: train[:36], prepared.config.tokenizer, tmp_path / "alone")
    assert alone.source.model == prepared.tokenizers.source.model


def test_a_pair_held_out_of_one_is_refused(tmp_path: Path, corpus: Write, settings: Settings) -> None:
    with pytest.raises(DataError, match="the train corpus has 1 pair and there is no valid corpus"):
        prepare(settings(train=corpus("train", [("a", "b")])), tmp_path / "out")


def test_a_second_time_nothing_is_done(
    tmp_path: Path,
    corpus: Write,
    settings: Settings,
    pairs: MakePairs,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = settings(train=corpus("train", pairs(0, 60)), valid=corpus("valid", pairs(90, 4)))
    prepare(config, tmp_path / "out")
    before = snapshot(tmp_path / "out")
    # Neither where the text is stored nor settings of the model and the training count.
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for file in tmp_path.glob("train.*"):
        file.rename(moved / file.name)
    again = settings(
        {"model": {"dropout": 0.5}, "training": {"max_steps": 9}, "seed": 5},
        train=f"{moved}/train.{{en,de}}",
        valid=str(config.data.valid),
    )
    prepare(again, tmp_path / "out")
    assert snapshot(tmp_path / "out") == before
    assert f"prepared data in {tmp_path / 'out'} are up to date" in capsys.readouterr().err


CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("settings", {"data": {"max_length": 77}}),
    ("settings", {"data": {"max_length_ratio": 9.0}}),
    ("settings", {"data": {"drop_duplicates": False}}),
    ("settings", {"data": {"drop_leaks": False}}),
    ("settings", {"tokenizer": {"vocab_size": 330}}),
    ("settings", {"tokenizer": {"type": "unigram"}}),
    ("settings", {"tokenizer": {"joint": False}, "model": {"tie_embeddings": "decoder"}}),
    ("inputs", {"text": "train.en"}),
    ("inputs", {"text": "valid.de"}),
    ("inputs", {"data": {"test": "valid"}}),
]


@pytest.mark.parametrize(("what", "change"), CHANGES)
def test_what_has_changed_is_prepared_again(
    tmp_path: Path,
    corpus: Write,
    settings: Settings,
    pairs: MakePairs,
    capsys: pytest.CaptureFixture[str],
    what: str,
    change: dict[str, Any],
) -> None:
    data = {"train": corpus("train", pairs(0, 60)), "valid": corpus("valid", pairs(90, 4))}
    prepare(settings(**data), tmp_path / "out")
    before = snapshot(tmp_path / "out")
    changed = {key: data["valid"] if value == "valid" else value for key, value in change.get("data", {}).items()}
    if "text" in change:
        file = tmp_path / change["text"]
        file.write_bytes(file.read_bytes().replace(b"house", b"mouse").replace(b"Haus", b"Maus"))
    sections = {
        "tokenizer": {"vocab_size": 340, **change.get("tokenizer", {})},
        "model": change.get("model", {}),
    }
    fresh = settings(sections, **{**data, **changed})
    prepared = prepare(fresh, tmp_path / "out")
    assert f"the {what} of {tmp_path / 'out'} have changed" in capsys.readouterr().err
    assert snapshot(tmp_path / "out") != before
    twin = prepare(fresh, tmp_path / "twin")
    assert comparable(prepared) == comparable(twin), "the same as made in an empty directory"


def comparable(prepared: PreparedData) -> dict[str, Any]:
    return {key: value for key, value in prepared.manifest.items() if key != "libraries"}


def test_the_same_input_gives_the_same_bytes(
    tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs
) -> None:
    config = settings(train=corpus("train", pairs(0, 60)))
    for name in ("one", "two"):
        prepare(config, tmp_path / name)
    one, two = (
        {name: data for name, (_, _, data) in snapshot(tmp_path / directory).items()} for directory in ("one", "two")
    )
    assert one == two


@pytest.mark.parametrize("damage", ["cut", "changed", "missing", "manifest"])
def test_damage_is_named_and_mended(
    tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs, damage: str
) -> None:
    config = settings(train=corpus("train", pairs(0, 60)))
    out = tmp_path / "out"
    prepare(config, out)
    whole = {name: data for name, (_, _, data) in snapshot(out).items()}
    file = out / ("manifest.json" if damage == "manifest" else "train.arrow")
    data = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(data[:-8] if damage != "changed" else data[:999] + bytes([data[999] ^ 1]) + data[1000:])
    with pytest.raises(DataError, match=rf"{file.name} is (damaged|missing).*prepare again"):
        load_prepared(out)
    prepare(config, out)
    assert {name: data for name, (_, _, data) in snapshot(out).items()} == whole


def test_a_directory_of_somebody_else_is_left_alone(
    tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs
) -> None:
    config = settings(train=corpus("train", pairs(0, 30)))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match=r"mine holds files but no manifest.json.*data.prepared"):
        prepare(config, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
    with pytest.raises(DataError, match="is a file; expected a directory"):
        prepare(config, tmp_path / "train.en")
    (tmp_path / "empty").mkdir()
    assert len(prepare(config, tmp_path / "empty").train) == 27


def test_an_error_in_the_middle_leaves_what_was_there(
    tmp_path: Path,
    corpus: Write,
    settings: Settings,
    pairs: MakePairs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = settings(train=corpus("train", pairs(0, 60)))
    prepare(config, tmp_path / "out")
    before = snapshot(tmp_path / "out")
    monkeypatch.setattr(sys.modules["translator.data.prepare"], "write_manifest", lambda *_: 1 / 0)
    corpus("train", pairs(0, 50))
    with pytest.raises(ZeroDivisionError):
        prepare(config, tmp_path / "out")
    assert snapshot(tmp_path / "out") == before
    # Parts that were finished wait for the next preparation.
    assert [file.name for file in tmp_path.glob(".*")] == [".out.parts"]


def test_bad_input_is_found_before_any_work(
    tmp_path: Path,
    corpus: Write,
    settings: Settings,
    pairs: MakePairs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(*arguments: object) -> Iterator[None]:
        raise AssertionError("the tokenizer was trained on a corpus that is damaged")

    monkeypatch.setattr(sys.modules["translator.data.build"], "train_tokenizers", never)
    good, test = corpus("train", pairs(0, 60)), corpus("test", pairs(90, 9))
    (tmp_path / "test.de").write_bytes(gzip.compress(b"x\n" * 9)[:-4])
    with pytest.raises(DataError, match=r"test.de, line \d+: the gzip data end in the middle"):
        prepare(settings(train=good, test=test), tmp_path / "out")
    (tmp_path / "train.de").write_bytes((tmp_path / "train.de").read_bytes() + b"\xff\n")
    with pytest.raises(DataError, match=r"train.de, line 61, byte 1: found the byte 0xFF"):
        prepare(settings(train=good), tmp_path / "out")
    (tmp_path / "train.de").write_bytes(b"x\n" * 59)
    with pytest.raises(DataError, match=r"train.en has 60 lines but .*train.de has 59"):
        prepare(settings(train=good), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert [file.name for file in tmp_path.glob(".*")] == [".out.parts"]
    monkeypatch.undo()
    prepare(settings(train=corpus("train", pairs(0, 60))), tmp_path / "out")
    assert list(tmp_path.glob(".*")) == []


def test_nothing_to_train_on(tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs) -> None:
    with pytest.raises(DataError, match="data.train is not set; name a training corpus"):
        prepare(settings(), tmp_path / "out")
    with pytest.raises(DataError, match="the train corpus .* is empty; expected at least one pair"):
        prepare(settings(train=corpus("train", [])), tmp_path / "out")
    good = corpus("train", pairs(0, 30))
    with pytest.raises(DataError, match="the valid corpus .* is empty"):
        prepare(settings(train=good, valid=corpus("valid", [])), tmp_path / "out")
    with pytest.raises(DataError, match=r"no training pair is left of 30 .*\(30 source or target is in valid"):
        prepare(settings(train=good, valid=corpus("valid", pairs(0, 30))), tmp_path / "out")
    blank = corpus("train", [("", "x"), ("y", ""), ("", "")])
    with pytest.raises((DataError, TokenizerError), match="3 blank source or target|training text is blank"):
        prepare(settings(train=blank, valid=corpus("valid", [("a", "b")])), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_tokenizer_that_is_given_is_used_and_is_an_input(
    tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs
) -> None:
    train = corpus("train", pairs(0, 60))
    for name, size in (("a", 320), ("b", 330)):
        chosen = settings({"tokenizer": {"vocab_size": size}}).tokenizer
        train_tokenizers(lambda: pairs(0, 60), chosen, tmp_path / name)
    model = tmp_path / "given.model"
    model.write_bytes((tmp_path / "a" / "tokenizer.model").read_bytes())
    config = settings({"tokenizer": {"model": str(model)}}, train=train)
    prepared = prepare(config, tmp_path / "out")
    assert prepared.tokenizers.source.model == model.read_bytes()
    model.write_bytes((tmp_path / "b" / "tokenizer.model").read_bytes())
    assert prepare(config, tmp_path / "out").tokenizers.source.vocab_size == 330
    model.unlink()
    with pytest.raises(TokenizerError, match="cannot read the tokenizer .*given.model"):
        prepare(config, tmp_path / "out")


def test_one_tokenizer_for_each_side(tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs) -> None:
    sections = {"tokenizer": {"vocab_size": 320, "joint": False}, "model": {"tie_embeddings": "decoder"}}
    train = pairs(0, 60)
    prepared = prepare(settings(sections, train=corpus("train", train)), tmp_path / "out")
    assert not prepared.tokenizers.joint
    assert decoded(prepared.train, prepared.tokenizers) == train[:54]
    assert isinstance(load_prepared(tmp_path / "out").tokenizers.target, Tokenizer)


def test_tables_are_prepared_like_text(tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs) -> None:
    train = pairs(0, 40)
    rows = [json.dumps({"translation": {"de": target, "en": source}}) for source, target in train]
    (tmp_path / "train.jsonl").write_text("\n".join(rows))
    text = prepare(settings(train=corpus("train", train)), tmp_path / "text")
    config = settings(train=f"{tmp_path}/train.jsonl", source_language="en", target_language="de")
    table = prepare(config, tmp_path / "table")
    assert decoded(table.train, table.tokenizers) == decoded(text.train, text.tokenizers)
    assert (tmp_path / "text" / "train.arrow").read_bytes() == (tmp_path / "table" / "train.arrow").read_bytes()


def test_a_set_of_the_hub_is_prepared_once(
    tmp_path: Path,
    settings: Settings,
    pairs: MakePairs,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "set").mkdir()
    for split, part in (("train", pairs(0, 40)), ("validation", pairs(90, 3))):
        rows = [json.dumps({"de": target, "en": source}) for source, target in part]
        (tmp_path / "set" / f"{split}.jsonl").write_text("\n".join(rows))
    address = f"hub:{tmp_path}/set"
    config = settings(train=address, valid=address, source_language="en", target_language="de")
    prepared = prepare(config, tmp_path / "out")
    assert decoded(prepared.train, prepared.tokenizers) == pairs(0, 40)
    assert [prepared.valid.text(index) for index in range(3)] == pairs(90, 3)
    prepare(config, tmp_path / "out")
    assert "are up to date" in capsys.readouterr().err


@pytest.fixture
def unstated(corpus: Write, pairs: MakePairs, monkeypatch: pytest.MonkeyPatch) -> Config:
    """Settings that state no preset, for text that is too much for `tiny`."""
    monkeypatch.setitem(auto_preset._LARGEST, "tiny", 100)
    data = {"train": corpus("train", pairs(0, 40)), "valid": corpus("valid", pairs(90, 1))}
    return Config.model_validate({"data": data, "tokenizer": {"vocab_size": 300}})


@pytest.mark.parametrize(("device", "preset"), [("cuda", "small"), ("cpu", "mini")])
def test_the_preset_is_chosen_by_the_text_and_the_device_once(
    tmp_path: Path, unstated: Config, device: str, preset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    stated = {"device": device, "threads": 1}
    config, out = unstated.model_copy(update=stated), tmp_path / "out"
    assert prepare(config, out).config.preset == preset
    said = f"preset {preset}: {'suits' if preset == 'small' else 'takes'} about"
    assert said in capsys.readouterr().err
    for other in ("cuda", "cpu"):
        moved = config.model_copy(update={"device": other})
        assert load_prepared(out, moved).config.preset == preset
        assert prepare(moved, out).config.preset == preset
        errors = capsys.readouterr().err
        assert "are up to date" in errors and said in errors


def test_a_stated_preset_is_that_of_the_data(tmp_path: Path, unstated: Config) -> None:
    stated = Config.model_validate({**unstated.model_dump(exclude_unset=True), "preset": "base"})
    assert prepare(stated, tmp_path / "out").config.preset == "base"
    assert load_prepared(tmp_path / "out", unstated).config.preset == "base"


def test_data_that_name_no_preset_are_prepared_again(
    tmp_path: Path, unstated: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    prepare(unstated, out)
    manifest = json.loads((out / "manifest.json").read_text())
    reason = manifest.pop("preset")["reason"]
    (out / "manifest.json").write_text(json.dumps(manifest))
    # Whoever only looks at them gets what suits the text.
    assert load_prepared(out, unstated).config.preset == "small"
    capsys.readouterr()
    prepare(unstated, out)
    assert "does not say which preset it is for" in capsys.readouterr().err
    assert json.loads((out / "manifest.json").read_text())["preset"]["reason"] == reason
    manifest["preset"] = {"name": "giant", "reason": ""}
    (out / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match="`preset`: found 'giant', expected one of tiny, mini, small"):
        load_prepared(out, unstated)
