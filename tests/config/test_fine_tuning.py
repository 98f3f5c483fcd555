"""Starting from another run: what is taken over, what may differ, and what is refused at once."""

from pathlib import Path

import pytest

from translator.config import Config, Start, load_config, parse_start, read_run_config, resolve_preset, write_config
from translator.errors import ConfigError


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The settings of a small run, nothing else of it."""
    words = ["tokenizer.vocab_size=500", "tokenizer.type=unigram", "model.d_model=32", "model.dropout=0.2"]
    (tmp_path / "base").mkdir()
    write_config(load_config(None, ["preset=tiny", "run=base", *words]), tmp_path / "base" / "config.yaml")
    return tmp_path / "base"


def problems_of(*overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(None, overrides)
    return caught.value.problems


def test_how_a_run_and_its_weights_are_named(tmp_path: Path) -> None:
    assert parse_start("runs/base") == Start(Path("runs/base"), None)
    assert parse_start("runs/base:last") == Start(Path("runs/base"), "last")
    assert parse_start("a:b:1000") == Start(Path("a:b"), "1000")
    (tmp_path / "a:b").mkdir()
    assert parse_start(f"{tmp_path}/a:b") == Start(tmp_path / "a:b", None)
    assert parse_start(f"{tmp_path}/a:b:last") == Start(tmp_path / "a:b", "last")


@pytest.mark.parametrize("suffix", ["", ":last"])
def test_tokenizer_preset_and_shape_are_those_of_the_other_run(base: Path, suffix: str) -> None:
    first = read_run_config(base)
    config = load_config(None, [f"start_from={base}{suffix}", "training.learning_rate=1e-5", "data.max_length=90"])
    assert (config.preset, config.tokenizer, config.model) == ("tiny", first.tokenizer, first.model)
    assert (config.training.learning_rate, config.data.max_length) == (1e-5, 90)
    assert config.training.max_steps == load_config(None, ["preset=tiny"]).training.max_steps
    # Neither the size of the new corpus nor a second reading changes anything.
    assert resolve_preset(config, "big") == config


def test_the_learning_rate_is_a_tenth_of_the_presets_unless_stated(base: Path) -> None:
    usual = load_config(None, ["preset=tiny"]).training
    config = load_config(None, [f"start_from={base}"])
    assert config.training.learning_rate == pytest.approx(usual.learning_rate / 10)
    assert config.training.warmup_steps == usual.warmup_steps
    assert load_config(None, [f"start_from={base}", "training.learning_rate=0.002"]).training.learning_rate == 0.002


def test_dropout_may_differ_and_what_agrees_may_be_stated(base: Path) -> None:
    words = ["model.dropout=0.4", "model.attention_dropout=0.1", "model.word_dropout=0.05"]
    same = ["preset=tiny", "model.d_model=32", "tokenizer.type=unigram"]
    config = load_config(None, [f"start_from={base}", *words, *same])
    model = read_run_config(base).model
    dropouts = {"dropout": 0.4, "attention_dropout": 0.1, "word_dropout": 0.05}
    assert config.model == model.model_copy(update=dropouts)


def test_what_differs_is_refused_with_its_name(base: Path) -> None:
    words = ["preset=base", "model.d_model=64", "model.norm=post", "tokenizer.vocab_size=9k", "data.max_length=5000"]
    run = f"but {base}, where this run starts from, has"
    assert problems_of(f"start_from={base}:last", *words) == [
        f"preset: found 'base', {run} 'tiny'; leave it out",
        f"tokenizer.vocab_size: found 9000, {run} 500; leave it out",
        f"model.d_model: found 64, {run} 32; leave it out",
        f"model.norm: found 'post', {run} 'pre'; leave it out",
        "data.max_length: 5000 pieces and the end of sentence do not fit into model.max_positions = 1024",
    ]


def test_a_run_that_is_missing_is_one_mistake_among_all() -> None:
    missing = "start_from: nowhere is not a run directory (it has no config.yaml)"
    found = problems_of("start_from=nowhere:last", "seed=x", "modle.dropout=1")
    assert len(found) == 3
    assert found[-1].startswith(missing)
    found = problems_of("start_from=nowhere", "preset=tiny", "training.average_last=99")
    assert len(found) == 2
    assert found[0].startswith(missing)


def test_a_run_is_read_without_the_one_it_started_from(base: Path, tmp_path: Path) -> None:
    config = load_config(None, [f"start_from={base}", "run=fine"])
    (tmp_path / "fine").mkdir()
    write_config(config, tmp_path / "fine" / "config.yaml")
    (base / "config.yaml").unlink()
    assert read_run_config(tmp_path / "fine") == config
    assert isinstance(config, Config)
