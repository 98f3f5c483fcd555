"""Several corpora: shares, cleaning across them, what is held out, language tags, and starting from another run."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from translator.config import Config, auto_preset, load_config, read_run_config
from translator.data import Mixture, ParallelDataset, PreparedData, describe_report, load_prepared, prepare, report
from translator.errors import ConfigError, DataError, TokenizerError
from translator.text import load_tokenizers, train_tokenizers

Pairs = list[tuple[str, str]]
MakePairs = Callable[[int, int], Pairs]
Write = Callable[[str, Pairs], str]
Settings = Callable[..., Config]
Command = Callable[..., tuple[int, str, str]]


def swapped(pattern: str) -> str:
    return pattern.replace("{en,de}", "{de,en}")


def texts(dataset: ParallelDataset) -> Pairs:
    return [dataset.text(index) for index in range(len(dataset))]


def decoded(prepared: PreparedData, dataset: ParallelDataset) -> Pairs:
    source, target = prepared.tokenizers.source, prepared.tokenizers.target
    places = range(len(dataset))
    return [
        (source.decode(dataset.source(index).tolist()), target.decode(dataset.target(index).tolist()))
        for index in places
    ]


def first_pieces(prepared: PreparedData, dataset: ParallelDataset) -> list[str]:
    return [prepared.tokenizers.source.pieces(dataset.source(index)[:1].tolist())[0] for index in range(len(dataset))]


def test_corpora_lie_behind_each_other_and_are_mixed(
    tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = pairs(0, 60), [*pairs(200, 20), ("", "leer")]
    entries = [{"path": corpus("one", one), "weight": 1}, {"path": corpus("two", two), "weight": 3}]
    config = settings(train=entries, valid=corpus("valid", pairs(90, 4)))
    prepared = prepare(config, tmp_path / "out")
    assert decoded(prepared, prepared.train) == one + two[:-1]
    assert prepared.mixture == Mixture((60, 20), (0.25, 0.75))
    counts = prepared.manifest["counts"]
    assert [(entry["pairs"], entry["train"]) for entry in counts["corpora"]] == [(60, 60), (21, 20)]
    assert (counts["pairs"], counts["train"]) == (81, 80)
    expected = "(en to de): 20 of 21 pairs kept; an epoch takes 60 (75.0 % of it, 3.00 passes)"
    assert expected in capsys.readouterr().err
    # Shares are no settings of what is prepared.
    evened = settings(
        train=[{"path": entry["path"]} for entry in entries], valid=config.data.valid, temperature=2.0
    )  # fmt: skip
    again = prepare(evened, tmp_path / "out")
    assert again.mixture == Mixture.of([60, 20], temperature=2.0)
    errors = capsys.readouterr().err
    assert "are up to date" in errors and "an epoch takes" in errors


def test_one_entry_is_a_corpus_like_any_other(
    tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs
) -> None:
    train = corpus("train", pairs(0, 60))
    plain = prepare(settings(train=train), tmp_path / "plain")
    listed = prepare(settings(train=[{"path": train, "weight": 5}]), tmp_path / "listed")
    assert plain.mixture is None and listed.mixture is None
    assert plain.manifest == listed.manifest


def test_cleaning_goes_across_all_corpora(tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs) -> None:
    valid = [pairs(90, 3), pairs(95, 3)]
    one, two = pairs(0, 50), pairs(200, 20)
    mixed = [*two, one[3], (valid[0][0][0], "anders"), ("else", valid[1][2][1])]
    config = settings(
        train=[{"path": corpus("one", one)}, {"path": corpus("two", mixed)}],
        valid=[{"path": corpus("v", valid[0])}, {"path": corpus("w", valid[1])}],
    )
    prepared = prepare(config, tmp_path / "out")
    dropped = prepared.manifest["counts"]["dropped"]
    assert (dropped["duplicate"], dropped["leak"]) == (1, 2)
    assert decoded(prepared, prepared.train) == one + two
    assert texts(prepared.valid) == valid[0] + valid[1]


@pytest.mark.parametrize(("held_out", "expected"), [(1000, [6, 2]), (4, [3, 1]), (1, [1, 0])])
def test_the_last_pairs_of_every_corpus_are_held_out_in_proportion(
    tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs, held_out: int, expected: list[int]
) -> None:
    one, two = pairs(0, 60), pairs(200, 20)
    entries = [{"path": corpus("one", one)}, {"path": corpus("two", two)}]
    prepared = prepare(settings(train=entries, held_out=held_out), tmp_path / "out")
    first, second = 60 - expected[0], 20 - expected[1]
    assert texts(prepared.valid) == one[first:] + two[second:]
    assert decoded(prepared, prepared.train) == one[:first] + two[:second]
    assert prepared.manifest["counts"]["held_out"] == sum(expected)
    alone = train_tokenizers(lambda: one[:first] + two[:second], prepared.config.tokenizer, tmp_path / "alone")
    assert alone.source.model == prepared.tokenizers.source.model


def test_the_preset_is_chosen_by_the_text_of_all_corpora_together(
    tmp_path: Path, corpus: Write, pairs: MakePairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    halves = [pairs(0, 30), pairs(50, 30)]
    tokens = [sum(len(f"{source}{target}".encode()) for source, target in half) // 5 for half in halves]
    monkeypatch.setitem(auto_preset._LARGEST, "tiny", max(tokens) + 1)
    entries = [{"path": corpus(name, half)} for name, half in zip("ab", halves, strict=True)]
    data = {"train": entries, "valid": corpus("valid", [("a", "b")])}
    config = Config.model_validate({"data": data, "tokenizer": {"vocab_size": 300}, "device": "cuda"})
    assert prepare(config, tmp_path / "out").config.preset == "small"


def test_a_corpus_of_which_nothing_is_left_is_an_error(
    tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs
) -> None:
    train = corpus("one", pairs(0, 30))
    with pytest.raises(DataError, match=r"no training pair is left of 30 in .*two\.en.*30 repetition of an earlier"):
        config = settings(
            train=[{"path": train}, {"path": corpus("two", pairs(0, 30))}], valid=corpus("v", [("a", "b")])
        )
        prepare(config, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_order_of_corpora_and_their_content_are_inputs(
    tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = [{"path": corpus("one", pairs(0, 40))}, {"path": corpus("two", pairs(200, 20))}]
    prepare(settings(train=entries), tmp_path / "out")
    for changed in (entries[::-1], entries[:1]):
        prepare(settings(train=changed), tmp_path / "out")
        assert "the inputs of" in capsys.readouterr().err


def many_to_many(corpus: Write, pairs: MakePairs) -> dict[str, Any]:
    both, second = corpus("both", pairs(0, 40)), corpus("second", pairs(300, 20))
    return {
        "train": [{"path": both}, {"path": swapped(both)}, {"path": second}],
        "valid": [{"path": corpus("valid", pairs(90, 3))}, {"path": swapped(corpus("back", pairs(95, 3)))}],
        "language_tags": True,
    }


def test_every_source_begins_with_the_tag_of_its_target_language(
    tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs
) -> None:
    prepared = prepare(settings(**many_to_many(corpus, pairs)), tmp_path / "out")
    assert list(prepared.tokenizers.source.tags) == ["de", "en"]
    assert first_pieces(prepared, prepared.train) == ["<2de>"] * 40 + ["<2en>"] * 40 + ["<2de>"] * 20
    there, back = pairs(0, 40), [(target, source) for source, target in pairs(0, 40)]
    assert decoded(prepared, prepared.train) == there + back + pairs(300, 20)
    assert first_pieces(prepared, prepared.valid) == ["<2de>"] * 3 + ["<2en>"] * 3
    assert texts(prepared.valid)[3:] == [(target, source) for source, target in pairs(95, 3)]
    assert prepared.mixture == Mixture.of([40, 40, 20])
    # No one language is that of the run.
    assert (prepared.config.data.source_language, prepared.config.data.target_language) == (None, None)
    assert "de and en to de and en, 340 pieces" in (page := describe_report(report(prepared)))
    assert "40  of 40 de to en, " in page
    assert load_prepared(tmp_path / "out", prepared.config).config == prepared.config


def test_two_tokenizers_with_tags(tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs) -> None:
    sections = {"tokenizer": {"vocab_size": 330, "joint": False}, "model": {"tie_embeddings": "decoder"}}
    prepared = prepare(settings(sections, **many_to_many(corpus, pairs)), tmp_path / "out")
    assert prepared.tokenizers.target.tags == {}
    assert first_pieces(prepared, prepared.train)[39:41] == ["<2de>", "<2en>"]


def test_with_tags_leaks_are_sought_on_both_sides_and_repetitions_by_language(
    tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs
) -> None:
    data = many_to_many(corpus, pairs)
    data["valid"] = corpus("valid", pairs(90, 3))
    # German of the validation set, now as a source; and a pair that is the same in both directions.
    there = [*pairs(0, 40), ("Anna", "Anna"), ("Anna", "Anna"), (pairs(90, 1)[0][1], "anything")]
    corpus("both", there)
    prepared = prepare(settings(**data), tmp_path / "out")
    dropped = prepared.manifest["counts"]["dropped"]
    assert (dropped["duplicate"], dropped["leak"]) == (2, 2)
    assert [entry["train"] for entry in prepared.manifest["counts"]["corpora"]] == [41, 41, 20]


def test_the_tag_counts_among_the_pieces_but_not_in_the_ratio(
    tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs
) -> None:
    data = many_to_many(corpus, pairs)
    longest = int(prepare(settings(**data), tmp_path / "long").train.source_lengths.max())
    prepared = prepare(settings(**data, max_length=longest - 1), tmp_path / "short")
    assert prepared.train.source_lengths.max() == longest - 1
    assert prepared.manifest["counts"]["dropped"]["length"] > 0
    assert prepared.manifest["counts"]["dropped"]["length_ratio"] == 0


def test_a_blank_reference_stays_blank(tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs) -> None:
    data = {**many_to_many(corpus, pairs), "valid": corpus("valid", [("", "leer"), ("a dog", "ein Hund")])}
    prepared = prepare(settings(**data), tmp_path / "out")
    assert prepared.valid.source_lengths.tolist()[0] == 0


def test_turning_tags_on_and_another_language_prepare_again(
    tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs, capsys: pytest.CaptureFixture[str]
) -> None:
    train = corpus("train", pairs(0, 50))
    prepare(settings(train=train), tmp_path / "out")
    tagged = prepare(settings(train=train, language_tags=True), tmp_path / "out")
    assert first_pieces(tagged, tagged.train) == ["<2de>"] * 45
    for language in ("nl", "de"):
        entry = {"path": train, "source_language": "en", "target_language": language}
        capsys.readouterr()
        prepared = prepare(settings(train=[entry], language_tags=True), tmp_path / "out")
        assert "the inputs of" in capsys.readouterr().err
        assert list(prepared.tokenizers.source.tags) == [language]


def test_directions_that_do_not_go_together(
    tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs
) -> None:
    train = corpus("train", pairs(0, 50))
    with pytest.raises(
        DataError, match=r"several target languages \(de in .*; en in .*\); set data.language_tags=true"
    ):
        prepare(settings(train=[{"path": train}, {"path": swapped(train)}]), tmp_path / "out")
    table = tmp_path / "train.tsv"
    table.write_text("".join(f"{source}\t{target}\n" for source, target in pairs(0, 50)))
    with pytest.raises(DataError, match=r"those of .*train\.tsv are not known; set source_language"):
        prepare(settings(train=[{"path": str(table)}], language_tags=True), tmp_path / "out")
    odd = {"path": str(table), "source_language": "en", "target_language": "<2de>"}
    with pytest.raises(DataError, match="'<2de>' cannot be a language tag"):
        prepare(settings(train=[odd], language_tags=True), tmp_path / "out")
    named = {"path": str(table), "source_language": "en", "target_language": "de"}
    assert prepare(settings(train=[named], language_tags=True), tmp_path / "out").tokenizers.source.tags


def test_entries_state_languages_of_their_own(
    tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs
) -> None:
    """Languages of `data` reverse a pattern, and so do those of an entry; a pattern in a list is read as written."""
    train = corpus("train", pairs(0, 50))
    languages = {"source_language": "de", "target_language": "en"}
    back = [(target, source) for source, target in pairs(0, 50)]
    turned = (
        settings(train=train, **languages),
        settings(train=[{"path": train, **languages}]),
        settings(train=[{"path": swapped(train)}], source_language="en", target_language="de"),
    )
    for number, config in enumerate(turned):
        prepared = prepare(config, tmp_path / str(number))
        assert decoded(prepared, prepared.train) == back[:45]


def test_a_given_tokenizer_without_the_tags_is_refused(
    tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs
) -> None:
    data, chosen = many_to_many(corpus, pairs), settings().tokenizer
    train_tokenizers(lambda: pairs(0, 60), chosen, tmp_path / "given", languages=["de", "fr"])
    sections = {"tokenizer": {"model": str(tmp_path / "given" / "tokenizer.model")}}
    expected = r"tokenizer.model: .* has no language tag <2en> \(found: <2de>, <2fr>\).*leave tokenizer.model out"
    with pytest.raises(TokenizerError, match=expected):
        prepare(settings(sections, **data), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    train_tokenizers(lambda: pairs(0, 60), chosen, tmp_path / "given", languages=["de", "en"])
    prepared = prepare(settings(sections, **data), tmp_path / "out")
    assert first_pieces(prepared, prepared.train)[39:41] == ["<2de>", "<2en>"]


def test_text_is_kept_when_it_is_asked_for(
    tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    train = [(source + "\r", target) for source, target in pairs(0, 30)] + [("", "leer"), *pairs(100, 20)]
    data = {"train": corpus("train", train), "valid": corpus("valid", pairs(90, 3))}
    asking = settings({"training": {"subword_sampling": 0.1}}, **data)
    assert not prepare(settings(**data), out).train.has_text
    prepared = prepare(asking, out)
    assert "has no text of the training pairs, which training.subword_sampling and" in capsys.readouterr().err
    assert texts(prepared.train) == pairs(0, 30) + pairs(100, 20)
    tokenizer = prepared.tokenizers.source
    encoded = tokenizer.encode([source for source, _ in texts(prepared.train)])
    assert [prepared.train.source(index).tolist() for index in range(50)] == encoded
    # What holds text serves those who need none.
    prepare(settings(**data), out)
    assert "are up to date" in capsys.readouterr().err


def test_the_tag_is_no_part_of_the_text(tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs) -> None:
    sections = {"training": {"subword_sampling": 0.1}}
    prepared = prepare(settings(sections, **many_to_many(corpus, pairs)), tmp_path / "out")
    assert texts(prepared.train)[:2] == pairs(0, 2)
    assert first_pieces(prepared, prepared.train)[0] == "<2de>"


@pytest.fixture
def base_run(tiny_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_run, tmp_path / "base")


def starting(base: Path, *words: str) -> Config:
    return load_config(None, [f"start_from={base}", "data.max_length=60", *words])


def test_the_tokenizer_of_a_run_is_used_by_construction(
    tmp_path: Path, base_run: Path, corpus: Write, pairs: MakePairs, capsys: pytest.CaptureFixture[str]
) -> None:
    train = corpus("train", pairs(0, 50))
    prepared = prepare(starting(base_run, f"data.train={train}"), tmp_path / "out")
    model = (base_run / "tokenizer.model").read_bytes()
    assert (tmp_path / "out" / "tokenizer.model").read_bytes() == model
    assert "training the tokenizer" not in capsys.readouterr().err
    assert prepared.config.model == read_run_config(base_run).model
    # The same file given by name is the same input.
    named = ["preset=tiny", "data.max_length=60", f"tokenizer.model={base_run / 'tokenizer.model'}"]
    prepare(load_config(None, [*named, f"data.train={train}"]), tmp_path / "out")
    assert "are up to date" in capsys.readouterr().err
    other = train_tokenizers(lambda: pairs(0, 60), prepared.config.tokenizer, base_run)
    again = prepare(starting(base_run, f"data.train={train}"), tmp_path / "out")
    assert "the inputs of" in capsys.readouterr().err
    assert again.tokenizers.source.model == other.source.model != model


def test_two_tokenizers_of_a_run_are_used(
    tmp_path: Path, base_run: Path, corpus: Write, pairs: MakePairs, settings: Settings
) -> None:
    (base_run / "tokenizer.model").unlink()
    text = (base_run / "config.yaml").read_text()
    text = text.replace("joint: true", "joint: false").replace("tie_embeddings: all", "tie_embeddings: decoder")
    (base_run / "config.yaml").write_text(text)
    chosen = settings({"tokenizer": {"vocab_size": 310, "joint": False}}).tokenizer
    train_tokenizers(lambda: pairs(0, 60), chosen, base_run)
    prepared = prepare(starting(base_run, f"data.train={corpus('train', pairs(0, 50))}"), tmp_path / "out")
    assert not prepared.tokenizers.joint
    for side in ("source", "target"):
        name = f"tokenizer.{side}.model"
        assert (tmp_path / "out" / name).read_bytes() == (base_run / name).read_bytes()
    assert load_tokenizers(tmp_path / "out").source.model == prepared.tokenizers.source.model


def test_a_tag_that_the_vocabulary_of_the_run_lacks_is_refused(
    tmp_path: Path, base_run: Path, corpus: Write, pairs: MakePairs
) -> None:
    config = starting(base_run, f"data.train={corpus('train', pairs(0, 50))}", "data.language_tags=true")
    with pytest.raises(TokenizerError, match=r"start_from: .*base has no language tag <2de> \(found: none\)"):
        prepare(config, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_settings_made_in_python_start_from_a_run_too(
    tmp_path: Path, base_run: Path, corpus: Write, pairs: MakePairs
) -> None:
    data = {"train": corpus("train", pairs(0, 50)), "max_length": 60}
    prepared = prepare(Config.model_validate({"start_from": str(base_run), "data": data}), tmp_path / "out")
    assert prepared.config.model == read_run_config(base_run).model
    wrong = Config.model_validate({"start_from": str(base_run), "data": data, "model": {"d_ff": 99}})
    with pytest.raises(ConfigError, match="model.d_ff: found 99, but .*base, where this run starts from, has 32"):
        prepare(wrong, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_the_command_prepares_lists_of_corpora(
    tmp_path: Path, corpus: Write, pairs: MakePairs, call_program: Command
) -> None:
    one, two = corpus("one", pairs(0, 60)), corpus("two", pairs(200, 20))
    word = json.dumps([{"path": one, "weight": 1}, {"path": swapped(two), "weight": 1}])
    settings = ["preset=tiny", "tokenizer.vocab_size=340", "data.language_tags=true", f"run={tmp_path / 'run'}"]
    code, out, errors = call_program("data", "prepare", *settings, f"data.train={word}")
    assert (code, out.strip()) == (0, str(tmp_path / "run" / "prepared")), errors
    assert "the last pairs of every training corpus, 8 of 80 in all, are held out" in errors
    assert "(de to en): 18 of 18 pairs kept; an epoch takes 36 (50.0 % of it, 2.00 passes)" in errors
    figures = json.loads(call_program("data", "report", tmp_path / "run" / "prepared", "--json")[1])
    assert [entry["languages"] for entry in figures["corpora"]] == [["en", "de"], ["de", "en"]]


def test_the_command_names_a_missing_run_among_all_mistakes(tmp_path: Path, call_program: Command) -> None:
    words = [f"run={tmp_path / 'run'}", f"start_from={tmp_path / 'none'}", "preset=huge", "data.train=[{weight: 1}]"]
    code, _, errors = call_program("train", *words)
    assert code == 1
    assert "error: 3 mistakes in the settings:" in errors
    assert f"start_from: {tmp_path / 'none'} is not a run directory" in errors
    assert list(tmp_path.iterdir()) == []
