"""A run that was copied or moved is trained where it is now, whatever its settings say about where it was made."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from translator.checkpoints import RunDirectory
from translator.config import auto_preset, load_config, read_run_config, run_directory

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def copied(settings_file: Path, call_program: Call) -> Path:
    """A copy of a run of four steps, next to it."""
    assert call_program("train", settings_file, "training.max_steps=4")[0] == 0
    return Path(shutil.copytree(settings_file.parent / "run", settings_file.parent / "copied"))


def files(directory: Path) -> dict[str, bytes]:
    return {str(file.relative_to(directory)): file.read_bytes() for file in directory.rglob("*") if file.is_file()}


def test_training_continues_in_the_copy(copied: Path, call_program: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    original = copied.parent / "run"
    before = files(original)
    code, out, errors = call_program("train", copied / "config.yaml", "training.max_steps=6")
    assert (code, out.strip()) == (0, str(copied)), errors
    assert (
        f"{copied}/config.yaml belongs to the run directory {copied}, which is meant here, and not {original}" in errors
    )
    assert "resuming after step 4 from" in errors and RunDirectory(copied).steps()[-1] == 6
    # From then on its settings name it, and nothing has to be said.
    assert run_directory(read_run_config(copied)) == copied
    assert yaml.safe_load((copied / "config.yaml").read_text())["run"] == str(copied)
    monkeypatch.chdir(copied)
    code, out, errors = call_program("train", "config.yaml", "training.max_steps=8")
    assert (code, out.strip()) == (0, str(copied)) and "which is meant here" not in errors
    code, out, errors = call_program("train", ".", "training.max_steps=9")
    assert (code, out.strip()) == (0, str(copied)) and RunDirectory(copied).steps()[-1] == 9
    assert files(original) == before


def test_a_run_directory_that_is_stated_wins(copied: Path, call_program: Call) -> None:
    before = files(copied)
    other = copied.parent / "other"
    code, out, errors = call_program("train", copied / "config.yaml", f"run={other}", "training.max_steps=2")
    assert (code, out.strip()) == (0, str(other)) and "which is meant here" not in errors
    assert RunDirectory(other).steps() == [2]
    assert files(copied) == before


def test_config_show_prints_the_directory_that_is_meant(copied: Path, call_program: Call) -> None:
    for words in ([copied / "config.yaml"], [copied], [copied, "seed=3"]):
        code, out, errors = call_program("config", "show", *words)
        assert code == 0 and yaml.safe_load(out)["run"] == str(copied)
    code, out, errors = call_program("config", "show", copied / "config.yaml", "run=elsewhere")
    assert yaml.safe_load(out)["run"] == "elsewhere" and "which is meant here" not in errors
    code, out, errors = call_program("config", "show", copied / "config.yaml")
    assert "which is meant here" in errors


def test_links_and_look_alikes(copied: Path, tmp_path: Path) -> None:
    link = tmp_path / "shortcut.yaml"
    link.symlink_to(copied / "config.yaml")
    assert run_directory(load_config(link)) == copied.resolve()
    linked = tmp_path / "linked"
    linked.symlink_to(copied, target_is_directory=True)
    assert run_directory(load_config(linked / "config.yaml")) == linked
    # Settings that somebody wrote, in a project with a directory of that name.
    project = tmp_path / "project"
    os.makedirs(project / "models")
    (project / "config.yaml").write_text("run: models/first\npreset: tiny\n")
    assert run_directory(load_config(project / "config.yaml")) == Path("models/first")
    # All settings, printed by `config show` into a directory that is no run.
    (tmp_path / "plain").mkdir()
    shutil.copy(copied / "config.yaml", tmp_path / "plain")
    assert run_directory(load_config(tmp_path / "plain" / "config.yaml")) == copied.parent / "run"


def test_a_run_that_was_begun_under_another_default_rule_continues_under_its_own(
    settings_file: Path, call_program: Callable[..., tuple[int, str, str]]
) -> None:
    """Before `nfc` the default was `nfkc`; the rule of a run is in its tokenizer."""
    run = settings_file.parent / "run"
    words = ["training.max_steps=2", "tokenizer.normalization=nfkc"]
    assert call_program("train", settings_file, *words)[0] == 0
    kept = (run / "tokenizer.model").read_bytes()
    code, _, errors = call_program("train", settings_file, "training.max_steps=4")
    assert code == 0 and "up to date" in errors, errors
    assert (run / "tokenizer.model").read_bytes() == kept
    assert "normalization: nfkc" in (run / "config.yaml").read_text()
    code, _, errors = call_program("train", settings_file, "training.max_steps=6", "tokenizer.normalization=nfc")
    assert code == 1 and "tokenizer.normalization" in errors


def test_a_run_keeps_its_preset_on_another_device(
    settings_file: Path, call_program: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = settings_file.parent / "run"
    monkeypatch.setitem(auto_preset._LARGEST, "tiny", 100)
    settings_file.write_text(settings_file.read_text().replace("preset: tiny\n", ""))
    code, _, errors = call_program("train", settings_file, "training.max_steps=4")
    assert code == 0 and "preset small: suits about" in errors, errors
    assert read_run_config(run).preset == "small"
    # A CPU on which `small` takes days.
    monkeypatch.setattr(auto_preset, "_MOST_HOURS", 0.0)
    shutil.rmtree(run / "prepared")
    code, _, errors = call_program("train", settings_file, "training.max_steps=6")
    assert code == 0 and "resuming after step 4" in errors, errors
    assert read_run_config(run).preset == "small" and "preset tiny" not in errors
    settings = run / "config.yaml"
    settings.write_text(settings.read_text().replace("preset: small\n", "preset: auto\n"))
    code, _, errors = call_program("train", settings_file, "training.max_steps=8")
    assert code == 1 and "preset" in errors and "Traceback" not in errors, errors
    code, _, errors = call_program("train", settings_file, "training.max_steps=4", f"run={run.parent / 'new'}")
    assert code == 0 and "preset tiny: takes about" in errors, errors
