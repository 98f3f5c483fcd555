"""Scores are kept with the run: all of them, by however many processes at once."""

import os
import shutil
from pathlib import Path

import pytest

from translator.evaluation import evaluate, open_test_set, read_scores, record_evaluation
from translator.translation import Translator


@pytest.fixture
def run(tmp_path: Path, tiny_run: Path) -> Path:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    (tmp_path / "source").write_text("a dog runs .\n")
    (tmp_path / "reference").write_text("Ein Hund läuft .\n")
    return run


def test_evaluations_at_the_same_time_all_keep_their_scores(run: Path, tmp_path: Path) -> None:
    translator = Translator.load(run, device="cpu", engine="native")
    tested = open_test_set(tmp_path / "source", [tmp_path / "reference"])
    evaluation = evaluate(translator, tested.sources, tested.references, translator.settings, metrics=("bleu",))
    ready, go = os.pipe()
    children = []
    for _ in range(8):
        child = os.fork()
        if not child:
            code = 1
            try:
                os.close(go)
                os.read(ready, 1)  # All begin when the pipe is closed.
                for _ in range(3):
                    record_evaluation(translator, tested, evaluation)
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    os.close(go)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    os.close(ready)
    assert codes == [0] * 8
    entries = read_scores(run)
    assert len(entries) == 24
    assert sorted(entry["hypotheses"] for entry in entries) == sorted(
        f"hypotheses/{path.name}" for path in (run / "hypotheses").iterdir()
    )
    assert not [path for path in run.iterdir() if path.name.startswith(".")]


def test_translations_are_not_overwritten_where_scores_were_deleted(run: Path, tmp_path: Path) -> None:
    translator = Translator.load(run, device="cpu", engine="native")
    tested = open_test_set(tmp_path / "source", [tmp_path / "reference"])
    evaluation = evaluate(translator, tested.sources, tested.references, translator.settings, metrics=("bleu",))
    first = record_evaluation(translator, tested, evaluation)
    (run / "scores.json").unlink()
    assert record_evaluation(translator, tested, evaluation) != first
    assert len(list((run / "hypotheses").iterdir())) == 2
