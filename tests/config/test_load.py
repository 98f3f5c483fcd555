"""Settings: what is read, how it is converted, and that every mistake is said at once."""

from pathlib import Path

import pytest

from translator.config import Config, Duration, load_config, read_run_config, resolve_preset, write_config
from translator.config.explain import setting_names
from translator.config.manual import describe_settings
from translator.config.run_config import changed_settings
from translator.errors import CheckpointError, ConfigError


def problems_of(*overrides: str, path: Path | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    return caught.value.problems


@pytest.mark.parametrize(("written", "steps"), [("16.1k", 16_100), ("4.02k", 4_020), ("1.1M", 1_100_000)])
def test_whole_numbers_with_k_and_m_are_exact(written: str, steps: int) -> None:
    assert load_config(None, [f"training.max_steps={written}"]).training.max_steps == steps


@pytest.mark.parametrize(
    ("written", "count"), [("8,000", 8_000), ("1,250.5k", 1_250_500), ("1,000,000", 1_000_000), ("8_000", 8_000)]
)
def test_commas_stand_before_thousands(written: str, count: int) -> None:
    training = load_config(None, [f"training.max_steps={written}", f"training.validate_every={written} steps"]).training
    assert training.max_steps == training.validate_every.amount == count


@pytest.mark.parametrize("written", ["1,5k", "0,500M", "1,2,3", "8,0000", "8000,000", "8,"])
def test_a_comma_elsewhere_is_refused(written: str) -> None:
    problems = problems_of(f"training.max_steps={written}", f"training.validate_every={written}")
    assert [problem.partition(":")[0] for problem in problems] == ["training.max_steps", "training.validate_every"]
    assert all(f"found '{written}'" in problem for problem in problems)


@pytest.mark.parametrize("section", ["training:", "training: null", "training: {}"])
def test_a_section_whose_settings_are_commented_out_takes_settings_of_the_command_line(
    tmp_path: Path, section: str
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(f"{section}\n#  max_steps: 100\n")
    assert load_config(file, ["training.max_steps=7"]).training.max_steps == 7
    assert load_config(file, []).training.max_steps is not None


def test_yaml_scalars_are_converted_by_the_type_of_the_field(tmp_path: Path) -> None:
    file = tmp_path / "norwegian.yaml"
    file.write_text(
        "data:\n  source_language: no\n  drop_leaks: no\n"
        "training:\n  learning_rate: 1e-4\n  batch_tokens: 25k\n  validate_every: 2epochs\n  max_epochs: null\n"
        "  adam_betas: [0.9, 0.99]\n"
    )
    config = load_config(file, ["training.max_steps=1.5M"])
    assert config.data.source_language == "no"
    assert config.data.drop_leaks is False
    assert config.training.learning_rate == 1e-4
    assert config.training.batch_tokens == 25_000
    assert config.training.validate_every == Duration(2, "epochs")
    assert config.training.max_epochs is None
    assert config.training.adam_betas == (0.9, 0.99)
    assert config.training.max_steps == 1_500_000
    assert config.run == "runs/norwegian"


def test_all_mistakes_are_said_at_once_with_the_nearest_name(tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text("learning_rate: 1\nmodell: {}\ntraining:\n  max_step: 3\nmodel:\n  dropout: 1.5\n")
    problems = problems_of("training.batch_tokens=many", "precision=fp8", path=file)
    joined = "\n".join(problems)
    assert len(problems) == 6
    assert "learning_rate: there is no such setting; did you mean training.learning_rate?" in problems
    assert "modell: there is no such setting; did you mean model?" in problems
    assert "training.max_step: there is no such setting; did you mean training.max_steps?" in problems
    assert "model.dropout: input should be less than 1; found '1.5'" in problems
    assert "training.batch_tokens: expected a whole number such as 4096, 25k or 1.5M; found 'many'" in problems
    assert "precision: input should be 'auto', 'fp32', 'bf16' or 'fp16'; found 'fp8'" in joined


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["model.dropout"], "expected KEY=VALUE"),
        (["seed=1", "seed=2"], "`seed` is given twice"),
        (["seed.more=1", "seed=1"], "found a value and settings inside it"),
        (["training.validate_every=0"], "at least one step or epoch"),
        (["training.validate_every=soon"], "expected steps or epochs such as 500, 8k or 1epoch"),
        (["preset=tiny", "model.num_heads=3"], "3 heads do not divide model.d_model = 128"),
        (["preset=tiny", "training.average_last=9"], "raise keep_last"),
        (["preset=tiny", "tokenizer.joint=false"], "`all` needs one vocabulary"),
        (["preset=tiny", "tokenizer.normalization=table"], "tokenizer.normalization_table: set it together"),
        (["preset=tiny", "tokenizer.normalization_table=rules.tsv"], "tokenizer.normalization_table: set it together"),
        (["preset=tiny", "data.max_length=2000"], "do not fit into model.max_positions"),
        (["preset=tiny", "model.d_model=33", "model.head_dim=8"], "need an even width"),
    ],
)
def test_impossible_settings_are_explained(overrides: list[str], expected: str) -> None:
    assert any(expected in problem for problem in problems_of(*overrides))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("training: [1", "is not valid YAML"),
        ("- a\n- b\n", "expected settings as `name: value`"),
        ("seed: 1\nseed: 2\n", "line 2: `seed` is set twice"),
        ("run: ${SURELY_NOT_SET}\n", "the environment variable SURELY_NOT_SET is not set"),
        ("model: 3\n", "model: "),
    ],
)
def test_broken_files_are_explained(tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(text)
    assert any(expected in problem for problem in problems_of(path=file))


def test_a_file_that_cannot_be_read_is_explained(tmp_path: Path) -> None:
    assert "cannot read" in problems_of(path=tmp_path / "none.yaml")[0]
    (tmp_path / "wide.yaml").write_text("seed: 1", "utf-16")
    assert "is not UTF-8 (byte 0 is 0xff); save it as UTF-8" in problems_of(path=tmp_path / "wide.yaml")[0]


@pytest.mark.parametrize("name", ["first.yaml", "first.yml"])
def test_a_run_is_called_as_its_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("seed: 1\n")
    assert load_config(tmp_path / name).run == "runs/first"


def test_environment_variables_with_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "env.yaml"
    file.write_text("data:\n  train: ${CORPUS:-hub:name:train}\n  valid: ${CORPUS}/valid.{en,de}\n")
    monkeypatch.setenv("CORPUS", "/texts")
    config = load_config(file)
    assert (config.data.train, config.data.valid) == ("/texts", "/texts/valid.{en,de}")
    file.write_text("data:\n  train: ${OTHER:-hub:name:train}\n")
    assert load_config(file).data.train == "hub:name:train"


def test_a_corpus_given_twice_is_its_two_sides() -> None:
    config = load_config(None, ["data.train=train.en", "data.train=train.de", "data.valid=[a.en, a.de]"])
    assert config.data.train == ["train.en", "train.de"]
    assert config.data.valid == ["a.en", "a.de"]


def test_a_preset_fills_in_what_is_not_stated() -> None:
    config = resolve_preset(load_config(None, ["model.d_ff=300", "training.learning_rate=1e-3"]), "tiny")
    assert config.preset == "tiny"
    assert (config.model.d_model, config.model.d_ff) == (128, 300)
    assert config.training.learning_rate == 1e-3
    assert resolve_preset(Config(), "base").model == resolve_preset(Config(preset="base")).model


def test_written_settings_are_read_back_unchanged(tmp_path: Path) -> None:
    config = load_config(None, ["preset=small", "run=runs/x", "training.validate_every=3epochs", "data.train=[a, b]"])
    write_config(config, tmp_path / "config.yaml")
    again = read_run_config(tmp_path)
    assert again == config
    assert changed_settings(config, again) == {}
    assert changed_settings(config, again.model_copy(update={"seed": 5})) == {"seed": (1, 5)}


def test_a_directory_without_settings_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is not a run directory"):
        read_run_config(tmp_path)


def test_the_manual_names_and_explains_every_setting() -> None:
    manual = describe_settings()
    lines = manual.splitlines()
    for name in setting_names():
        place = next(number for number, line in enumerate(lines) if line.startswith(f"{name}: "))
        assert len(lines[place + 1].strip()) > 10
    assert (
        "training.batch_tokens: int|auto = 4096  (tiny 4096, mini 4096, small 4096, base 25000, big 25000, student"
        in manual
    )


def test_mistakes_in_a_run_name_its_file(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("decoding: {beam: 3}\n")
    with pytest.raises(ConfigError) as caught:
        read_run_config(tmp_path)
    assert str(caught.value).startswith(f"1 mistake in {tmp_path / 'config.yaml'}:\n  decoding.beam: ")
