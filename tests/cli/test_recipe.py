"""`translator recipe`: the commands run in order, an interrupted recipe continues, and a check is green or red."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
Program = Callable[..., tuple[int, str, str]]
ENTRY: dict[str, Any] = {"test_set": "test.en", "weights": "final", "decoding": {"beam_size": 5, "length_alpha": 0.6}}


def recipe_file(tmp_path: Path, commands: list[str], **expectation: Any) -> Path:
    expected = {"test_set": "test.en", "metric": "BLEU", "signature": "sig", "scores": [30.0, 31.0], **expectation}
    values = {"about": "A test.", "run": str(tmp_path / "run"), "commands": commands, "expected": [expected]}
    path = tmp_path / "one.yaml"
    path.write_text(yaml.safe_dump({**values, "measured": "here" if expected["scores"] else "not yet measured"}))
    return path


def scored(tmp_path: Path, *values: float) -> None:
    (tmp_path / "run").mkdir(exist_ok=True)
    (tmp_path / "run" / "config.yaml").write_text("preset: tiny\n")
    entries = [{**ENTRY, "scores": [{"name": "BLEU", "value": value, "signature": "sig"}]} for value in values]
    (tmp_path / "run" / "scores.json").write_text(json.dumps(entries))


@pytest.mark.parametrize(("score", "code"), [(30.1, 0), (30.9, 0), (29.9, 1), (31.1, 1)])
def test_a_check_is_green_within_the_tolerance(tmp_path: Path, call_program: Program, score: float, code: int) -> None:
    scored(tmp_path, 12.0, score)  # the newest counts
    found, out, _ = call_program("recipe", "check", recipe_file(tmp_path, ["doctor"]))
    assert found == code
    assert f"30.50 ± 0.50      2    0.71             {score:.2f}" in out
    assert ("NOT as expected" in out) == bool(code)


@pytest.mark.parametrize(
    "otherwise",
    [{"together_with": ["other"]}, {"weights": "last"}, {"decoding": {"beam_size": 1, "length_alpha": 0.6}}],
)
def test_a_score_that_was_made_otherwise_is_not_the_run_s(
    tmp_path: Path, call_program: Program, otherwise: dict[str, Any]
) -> None:
    scored(tmp_path, 30.6, 33.0)
    file = tmp_path / "run" / "scores.json"
    first, second = json.loads(file.read_text())
    file.write_text(json.dumps([first, {**second, **otherwise}]))
    assert call_program("recipe", "check", recipe_file(tmp_path, ["doctor"]))[0] == 0
    if "decoding" in otherwise:
        expecting = recipe_file(tmp_path, ["doctor"], decoding={"beam_size": 1}, scores=[33.0])
        assert call_program("recipe", "check", expecting)[0] == 0


@pytest.mark.parametrize(
    ("expectation", "words"),
    [
        ({"signature": "another"}, "no such score in scores.json"),
        ({"test_set": "other.en"}, "no such score in scores.json"),
        ({"scores": [], "published": 30.0}, "expectation not yet measured"),
    ],
)
def test_what_cannot_be_compared_is_red(
    tmp_path: Path, call_program: Program, expectation: dict[str, Any], words: str
) -> None:
    scored(tmp_path, 30.0)
    code, out, _ = call_program("recipe", "check", recipe_file(tmp_path, ["doctor"], **expectation))
    assert code == 1
    assert words in out


def test_a_run_that_is_missing_is_explained(tmp_path: Path, call_program: Program) -> None:
    code, _, err = call_program("recipe", "check", recipe_file(tmp_path, ["doctor"]))
    assert code == 1
    assert "run the recipe first, or name its run with run=DIRECTORY" in err


def test_settings_that_no_command_takes_are_refused(tmp_path: Path, call_program: Program) -> None:
    path = recipe_file(tmp_path, ["translate nowhere"])
    code, _, err = call_program("recipe", "run", path, "seed=2", "devices=2")
    assert code == 1
    assert "found seed=2 devices=2, but no command of the recipe says $SETTINGS" in " ".join(err.split())
    assert "1 of 1" not in err


def test_an_empty_run_is_the_recipe_s_own_and_two_are_refused(tmp_path: Path, call_program: Program) -> None:
    scored(tmp_path, 30.5)
    path = recipe_file(tmp_path, ["doctor"])
    assert call_program("recipe", "check", path, "run=")[0] == 0
    code, _, err = call_program("recipe", "check", path, "run=a", "run=b")
    assert code == 2 and "`run` is given twice" in err


def test_a_recipe_that_was_not_measured_is_said_to_be_and_never_green(
    tmp_path: Path, call_program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = recipe_file(tmp_path, ["doctor"], scores=[], published=30.0)
    code, out, _ = call_program("recipe", "check", path)
    assert code == 1 and "expectation not yet measured" in out
    monkeypatch.setattr("translator.recipes.find_recipes", lambda: {"one": path, "one-more": path})
    monkeypatch.setattr("translator.recipes.recipe.FOLDER", tmp_path)
    shutil.copy(recipe_file(tmp_path, ["doctor"]), tmp_path / "one-more.yaml")
    recipe_file(tmp_path, ["doctor"], scores=[], published=30.0)
    code, out, _ = call_program("recipe", "list")
    assert code == 0
    assert out.splitlines() == ["one       A test. (not yet measured)", "one-more  A test."]


def test_where_there_are_no_recipes_the_list_says_so(
    tmp_path: Path, call_program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = call_program("recipe", "list")
    assert code == 1 and not out
    assert f"no recipes in configs/recipes of {tmp_path}; the folder comes with the repository" in " ".join(err.split())


@pytest.mark.slow
def test_the_first_command_that_fails_ends_the_recipe(tmp_path: Path, call_program: Program) -> None:
    path = recipe_file(tmp_path, ["config show run=$RUN $SETTINGS", "translate nowhere", "config schema"])
    code, out, err = call_program("recipe", "run", path, "run=elsewhere", "seed=7")
    assert code == 1
    assert "run: elsewhere" in out and "seed: 7" in out
    assert "decoding.beam_size" not in out
    assert "2 of 3: translator translate nowhere" in err and "continues there" in err


@pytest.mark.slow
def test_a_recipe_from_training_to_a_green_check(tmp_path: Path, call_program: Program) -> None:
    commands = [
        f"train {ROOT}/configs/sample-en-de.yaml run=$RUN data.train={ROOT}/data/valid.{{en,de}} "
        f"data.valid={ROOT}/data/valid.{{en,de}} data.test=null model.d_model=16 model.d_ff=16 "
        "tokenizer.vocab_size=400 training.max_steps=2 training.validate_every=2 $SETTINGS",
        f"evaluate $RUN --source {ROOT}/data/test.en --reference {ROOT}/data/test.de --set beam_size=1 "
        "--set max_length_factor=0.1",
    ]
    signature = "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0"
    decoding = {"beam_size": 1, "max_length_factor": 0.1}
    path = recipe_file(tmp_path, commands, signature=signature, decoding=decoding)
    assert call_program("recipe", "run", path, "data.drop_leaks=false")[0] == 0
    [entry] = json.loads((tmp_path / "run" / "scores.json").read_text())
    bleu = entry["scores"][0]["value"]
    for scores, code in (([bleu], 0), ([bleu + 1], 1)):
        values = yaml.safe_load(path.read_text())
        values["expected"][0]["scores"] = scores
        path.write_text(yaml.safe_dump(values))
        assert call_program("recipe", "check", path)[0] == code
