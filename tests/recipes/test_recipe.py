"""Recipe files: what is wrong in one is said, data are compared, and every recipe of the project can be read."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from translator.cli.app import make_app
from translator.config import load_config, read_call_settings
from translator.errors import ConfigError, DataError
from translator.recipes import find_recipes, read_recipe
from translator.recipes.recipe import find_data

FOLDER = Path(__file__).parents[2] / "configs" / "recipes"
EXPECTED = {"test_set": "test.en", "metric": "BLEU", "signature": "s", "scores": [10.0]}
VALUES: dict[str, Any] = {
    "about": "A test.",
    "run": "runs/one",
    "commands": ["train a.yaml run=$RUN data.train=$CORPUS/a.{en,de} $SETTINGS", "evaluate $RUN"],
    "data": {"CORPUS": {"about": "Write it.", "files": {"a.en": hashlib.sha256(b"text\n").hexdigest()}}},
    "expected": [EXPECTED],
    "measured": "here",
}
UNMEASURED = {
    "expected": [{**EXPECTED, "scores": [], "published": 11.0}],
    "data": {"CORPUS": {"about": "Write it.", "files": {"a.en": "unknown"}}},
    "measured": "not yet measured",
}


def written(tmp_path: Path, **changes: Any) -> str:
    path = tmp_path / "one.yaml"
    path.write_text(yaml.safe_dump({**VALUES, **changes}))
    return str(path)


def test_commands_are_filled_with_words(tmp_path: Path) -> None:
    recipe = read_recipe(written(tmp_path))
    filled = recipe.filled(recipe.commands[0], Path("runs/a b"), {"CORPUS": Path("my data")}, ("seed=2", "devices=2"))
    assert filled == ["train", "a.yaml", "run=runs/a b", "data.train=my data/a.{en,de}", "seed=2", "devices=2"]


def test_settings_of_the_user_replace_those_of_trainings(tmp_path: Path) -> None:
    commands = ["train run=$RUN training.max_steps=9 seed=1 $SETTINGS", "evaluate $RUN --set seed=1"]
    recipe = read_recipe(written(tmp_path, commands=commands))
    settings = ("seed=2", "training.max_steps=5")
    filled = [recipe.filled(command, Path("r"), {}, settings) for command in commands]
    assert filled == [["train", "run=r", "seed=2", "training.max_steps=5"], ["evaluate", "r", "--set", "seed=1"]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"commands": []}, "commands"),
        ({"commands": ["train $CORPSE/a"]}, r"found \$CORPSE; expected \$CORPUS, \$RUN, \$SETTINGS"),
        ({"expected": []}, "expected"),
        ({"expected": [{**EXPECTED, "scores": []}]}, "expected.0: .*expected `scores` that were measured"),
        ({"expected": [{**EXPECTED, "tolerance": 0}]}, "expected.0.tolerance"),
        ({"expected": [{**EXPECTED, "decoding": {"beam": 4}}]}, "expected.0.decoding.beam"),
        ({"data": {"CORPUS": {"about": "x", "files": {"a": "abc"}}}}, "data.CORPUS.files.a"),
        ({"budget": 3}, "budget"),
        ({"measured": "not yet measured"}, "found 'not yet measured' with scores"),
        ({**UNMEASURED, "measured": "here"}, "found 'here' without scores"),
        ({"data": UNMEASURED["data"]}, "found a file without SHA-256 in a recipe with scores"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_recipe(written(tmp_path, **changes))


def test_an_unknown_name_lists_those_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER.parents[1])
    with pytest.raises(DataError, match=r"no recipe configs/recipes/nonsense.yaml.*sample-en-de"):
        read_recipe("nonsense")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="comes with the repository"):
        read_recipe("nonsense")


def test_data_are_found_and_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = read_recipe(written(tmp_path))
    monkeypatch.delenv("CORPUS", raising=False)
    with pytest.raises(ConfigError, match="CORPUS is not set; set it to a directory with a.en. Write it."):
        find_data(recipe)
    monkeypatch.setenv("CORPUS", str(tmp_path))
    with pytest.raises(ConfigError, match="a.en cannot be read"):
        find_data(recipe)
    (tmp_path / "a.en").write_text("another\n")
    with pytest.raises(ConfigError, match="a.en is another file: found SHA-256"):
        find_data(recipe)
    (tmp_path / "a.en").write_text("text\n")
    assert find_data(recipe) == {"CORPUS": tmp_path}


def test_files_of_a_recipe_that_was_not_measured_only_have_to_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = read_recipe(written(tmp_path, **UNMEASURED))
    assert not recipe.is_measured and read_recipe(written(tmp_path)).is_measured
    monkeypatch.setenv("CORPUS", str(tmp_path))
    with pytest.raises(ConfigError, match="a.en cannot be read"):
        find_data(recipe)
    (tmp_path / "a.en").write_text("any\n")
    assert find_data(recipe) == {"CORPUS": tmp_path}


def check_command(words: list[str]) -> None:
    """Parse a command without running it, and check its settings with their values."""
    command: Any = get_command(make_app())
    while hasattr(command, "commands"):
        command, words = command.commands[words[0]], words[1:]
    parsed = command.make_context(command.name, list(words)).params
    read_call_settings(parsed.get("settings") or [])
    arguments = parsed.get("arguments") or []
    files = [word for word in arguments if Path(word).is_file()]
    load_config(files[0] if files else None, [word for word in arguments if "=" in word])


NEED_A_GPU = {"iwslt14-de-en", "wmt14-en-de-base", "wmt14-en-de-big"}


def test_recipes_are_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("one-more", "one", "another"):
        (tmp_path / f"{name}.yaml").touch()
    assert list(find_recipes(tmp_path)) == ["another", "one", "one-more"]


@pytest.mark.parametrize("name", sorted(find_recipes(FOLDER)))
def test_recipes_of_the_project(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER.parents[1])
    recipe = read_recipe(name)
    # A recipe without a measured score is one that no machine was there for.
    assert recipe.is_measured == (name not in NEED_A_GPU)
    for command in recipe.commands:
        words = recipe.filled(command, Path("run"), {place: Path("data") for place in recipe.data}, ("seed=2",))
        assert all(Path(word).is_file() for word in words if word.startswith("configs/"))
        check_command(words)
    trainings = [command for command in recipe.commands if command.startswith(("train ", "distill "))]
    assert "run=$RUN" in trainings[0] and "$SETTINGS" in trainings[-1]
    assert {"run=$RUN", "$RUN"} & set(trainings[-1].split())
    # Teachers that differ by their seeds alone would be one, if the user's seed replaced theirs.
    assert all("$SETTINGS" in command or " seed=" in command for command in trainings)
