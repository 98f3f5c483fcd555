"""Settings files that somebody made to break what reads them: one sentence each, within bounded work."""

from pathlib import Path

import pytest
import yaml

from translator.config import load_config, read_run_config
from translator.config import yaml_file as reader
from translator.config.yaml_file import MAX_BYTES, MAX_DEPTH, parse_yaml
from translator.errors import ConfigError

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
HOSTILE = {
    "a list as a name": ("? [a, b]\n: 1\n", "line 1: found a list or a group of settings as a name"),
    "a group as a name": ("seed: 1\n{a: 1}: 2\n", "line 2: found a list or a group of settings as a name"),
    "a list that holds itself": ("seed: 1\nrun: &a [*a]\n", "line 2: aliases (*a) are not read"),
    "a group that holds itself": ("&a {model: *a}\n", "line 1: aliases (*a) are not read"),
    "aliases of aliases": (BOMB, "line 2: aliases (*a) are not read"),
    "lists 1,000 deep": ("run: " + "[" * 1000 + "]" * 1000, "line 1: nested more than 50 deep"),
    "groups 1,000 deep": ("{a: " * 1000 + "}" * 1000, "line 1: nested more than 50 deep"),
    "groups by indentation": ("".join(f"{' ' * depth}a:\n" for depth in range(100)), "line 51: nested more than 50"),
    "dashes": ("- " * 2000 + "\n", "line 1: nested more than 50 deep"),
    "ten megabytes": ("x" * 10_000_000, "is larger than 256 KiB"),
    "two documents": ("seed: 1\n---\nseed: 2\n", "line 2: found a second document"),
    "half a character": ('run: "\\ud800"\n', ""),
    "a NUL": ('run: "a\\0b"\n', "run: found a NUL character"),
    "a Python object": ("!!python/object/apply:os.abort []\n", "found a list"),
    "repeated in an entry": (
        "data:\n  train:\n  - path: a\n    weight: 1\n    path: b\n",
        "line 5: `path` is set twice",
    ),
    "repeated 3,000 times": ("seed: 1\n" * 3000, "and 2,939 more"),
    "3,000 unknown names": ("".join(f"k{i}: 1\n" for i in range(3000)), "k49: there is no such setting"),
}


@pytest.mark.parametrize("has_libyaml", [True, False])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_settings_are_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, has_libyaml: bool
) -> None:
    monkeypatch.setattr(reader, "_LOADER", reader._LOADER if has_libyaml else yaml.BaseLoader)
    text, expected = HOSTILE[name]
    file = tmp_path / "hostile.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    assert expected in str(caught.value)
    assert len(str(caught.value)) < 20_000


def test_the_limits_leave_room_for_settings(tmp_path: Path) -> None:
    problems: list[str] = []
    deep = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert parse_yaml(deep, "here", problems) == eval(deep)
    file = tmp_path / "large.yaml"
    file.write_text("# " + "x" * (MAX_BYTES - 12) + "\nseed: 3\n")
    assert load_config(file).seed == 3
    assert problems == []


def test_values_are_those_of_the_base_loader() -> None:
    text = (
        "a: {b: [1, 'two', \"t\\nhree\"], c: }\nd:\n- - x\n  - y: z\n-\ne: !!int 3\n? f\n: &g g\nh: >\n  one\n  two\n"
    )
    assert parse_yaml(text, "here", []) == yaml.load(text, Loader=yaml.BaseLoader)


def test_a_list_on_the_command_line_is_bounded_too() -> None:
    for value in ("[" * 1000 + "]" * 1000, "[&a [x], *a]", "[{? [a] : b}]"):
        with pytest.raises(ConfigError, match="is not a valid YAML list"):
            load_config(None, [f"data.train={value}"])
    with pytest.raises(ConfigError, match="nested more than 50 deep"):
        load_config(None, ["model." * 5000 + "d_model=3"])
    with pytest.raises(ConfigError, match="decoding.prefix: found bytes that are not UTF-8"):
        load_config(None, ["decoding.prefix=M\udcfcller"])


@pytest.mark.parametrize("own", ["checkpoints", "models", "metrics.jsonl", "tokenizer.model"])
def test_the_settings_of_a_run_never_see_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str
) -> None:
    monkeypatch.setenv("SECRET", "told")
    file = tmp_path / "config.yaml"
    file.write_text("preset: tiny\nrun: ${OTHER:-default}\ndecoding:\n  prefix: ${SECRET}\n")
    assert read_run_config(tmp_path).decoding.prefix == "${SECRET}"
    assert load_config(tmp_path, ["seed=3"]).decoding.prefix == "${SECRET}"
    # Named on the command line, it is a settings file like any other, until it is that of a run.
    assert load_config(file).decoding.prefix == "told"
    (tmp_path / own).touch()
    assert load_config(file).decoding.prefix == "${SECRET}"
    assert load_config(file).run == "${OTHER:-default}"
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine.yaml").symlink_to(file)
    assert load_config(tmp_path / "elsewhere" / "mine.yaml").decoding.prefix == "${SECRET}"


def test_a_run_to_start_from_does_not_see_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "told")
    (tmp_path / "config.yaml").write_text("preset: tiny\ntokenizer:\n  model: ${SECRET}\n")
    config = load_config(None, [f"start_from={tmp_path}"])
    assert "told" not in str(config)
