"""Recipe files: what is wrong in one is said, data are compared, and every recipe of the project can be read."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from translator.errors import ConfigError
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
    "measured": "never",
}


def written(tmp_path: Path, **changes: Any) -> str:
    path = tmp_path / "one.yaml"
    path.write_text(yaml.safe_dump({**VALUES, **changes}))
    return str(path)


def test_commands_are_filled_with_words(tmp_path: Path) -> None:
    recipe = read_recipe(written(tmp_path))
    filled = recipe.filled(recipe.commands[0], Path("runs/a b"), {"CORPUS": Path("my data")}, ("seed=2", "devices=2"))
    assert filled == ["train", "a.yaml", "run=runs/a b", "data.train=my data/a.{en,de}", "seed=2", "devices=2"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"commands": []}, "commands"),
        ({"commands": ["train $CORPSE/a"]}, r"found \$CORPSE; expected \$CORPUS, \$RUN, \$SETTINGS"),
        ({"expected": []}, "expected"),
        ({"expected": [{**EXPECTED, "scores": []}]}, "expected.0: .*expected `scores` that were measured"),
        ({"expected": [{**EXPECTED, "tolerance": 0}]}, "expected.0.tolerance"),
        ({"data": {"CORPUS": {"about": "x", "files": {"a": "abc"}}}}, "data.CORPUS.files.a"),
        ({"budget": 3}, "budget"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_recipe(written(tmp_path, **changes))


def test_an_unknown_name_lists_those_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER.parents[1])
    with pytest.raises(ConfigError, match=r"no recipe configs/recipes/nonsense.yaml.*sample-en-de"):
        read_recipe("nonsense")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="comes with the repository"):
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


@pytest.mark.parametrize("name", sorted(find_recipes(FOLDER)))
def test_recipes_of_the_project(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER.parents[1])
    recipe = read_recipe(name)
    for command in recipe.commands:
        words = recipe.filled(command, Path("run"), {place: Path("data") for place in recipe.data})
        assert all(Path(word).is_file() for word in words if word.startswith("configs/"))
    assert any(expectation.scores for expectation in recipe.expected) or "not yet measured" in recipe.measured
