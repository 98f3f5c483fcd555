"""The order of validations: BLEU, then chrF, then the loss; no BLEU below 1."""

from typing import Any

import pytest

from translator.checkpoints import best_first, steps_by_merit
from translator.config import TrainingSettings
from translator.training.progress import Progress


def history(*rows: tuple[float, ...], names: tuple[str, ...] = ("bleu", "chrf", "loss")) -> list[dict[str, Any]]:
    return [{"step": 50 * number, **dict(zip(names, row, strict=True))} for number, row in enumerate(rows, start=1)]


@pytest.mark.parametrize(
    ("rows", "metric", "expected"),
    [
        (((20, 40, 3.0), (21, 39, 3.1), (19, 50, 2.0)), "bleu", [100, 50, 150]),
        (((20, 40, 3.0), (20, 41, 3.1), (20, 41, 2.0)), "bleu", [150, 100, 50]),
        (((20, 40, 3.0), (20, 40, 3.0)), "bleu", [50, 100]),
        # Equal as they are printed.
        (((20.004, 40, 3.0), (20.001, 41, 3.0)), "bleu", [100, 50]),
        # All but chance matches.
        (((0, 5, 6.0), (0, 6, 5.0), (0, 7, 4.0)), "bleu", [150, 100, 50]),
        (((0.4, 8, 6.0), (0.1, 12, 4.0), (0.9, 10, 5.0)), "bleu", [100, 150, 50]),
        (((0.4, 8, 6.0), (1.1, 7, 4.0), (0.9, 10, 5.0)), "bleu", [100, 150, 50]),
        # What one sentence scores for all sources.
        (((0, 8.2, 6.4), (0, 4.7, 6.3), (0, 4.0, 6.0)), "bleu", [150, 100, 50]),
        (((0, 21, 6.4), (0, 25, 6.5), (0, 23, 6.0)), "bleu", [100, 150, 50]),
        (((0.99, 4, 6.4), (1.0, 4, 6.5), (1.01, 4, 6.6)), "bleu", [150, 50, 100]),
        (((20, 40, 3.0), (21, 39, 3.1)), "chrf", [50, 100]),
        (((0, 8.2, 6.4), (0, 4.7, 6.3)), "chrf", [50, 100]),
        (((20, 40, 3.0), (21, 39, 3.1), (1, 1, 2.9)), "loss", [150, 50, 100]),
        (((20, 40, float("nan")), (20, 40, 3.0), (20, 40, float("inf"))), "bleu", [100, 50, 150]),
        (((20, 40, float("nan")), (20, 40, 3.0)), "loss", [100, 50]),
    ],
)
def test_order(rows: tuple[tuple[float, ...], ...], metric: str, expected: list[int]) -> None:
    assert steps_by_merit(history(*rows), metric) == expected


def test_histories_of_older_versions_have_no_chrf() -> None:
    old = history((0.0, 5.0), (0.5, 4.0), (20.0, 4.5), names=("bleu", "loss"))
    assert steps_by_merit(old, "bleu") == [150, 100, 50]
    resumed = [*old, {"step": 200, "bleu": 20.0, "chrf": 40.0, "loss": 4.4, "tokenizer": "13a"}]
    assert steps_by_merit(resumed, "bleu") == [200, 150, 100, 50]
    assert steps_by_merit(resumed, "chrf") == [200]


def test_bleu_of_two_tokenizers_is_not_compared() -> None:
    mixed = [entry | {"tokenizer": "13a"} for entry in history((30, 50, 2.0), (20, 40, 3.0))]
    mixed[1]["tokenizer"] = "char"
    assert steps_by_merit(mixed, "bleu") == [50, 100]
    mixed[1]["chrf"] = 60.0
    assert steps_by_merit(mixed, "bleu") == [100, 50]


def test_chance_matches_of_characters_are_no_bleu() -> None:
    """Validations of a training from English to Japanese, before it has learned to look at the source."""
    rows = history((0.42, 4.02, 5.983), (2.74, 4.89, 5.798), (0.72, 2.43, 5.689), (1.63, 3.88, 5.390))
    assert steps_by_merit(rows, "bleu") == [100, 200, 150, 50]
    characters = [entry | {"tokenizer": "char"} for entry in rows]
    assert steps_by_merit(characters, "bleu") == [200, 150, 100, 50]
    assert Progress(step=200, history=characters).stale_validations("bleu") == 0
    assert steps_by_merit([*characters, characters[0] | {"step": 250, "bleu": 5.1}], "bleu")[0] == 250


def test_of_two_states_the_first_of_equals_is_first() -> None:
    states = [{"bleu": 0.0, "chrf": 1.0, "loss": 2.0, "from": name} for name in ("average", "one")]
    assert best_first(states, "bleu")[0]["from"] == "average"


def test_nothing_is_stopped_by_a_bleu_that_cannot_move() -> None:
    settings = TrainingSettings(patience=3)
    stuck = [(0.0, 10.0, 6.0), (0.0, 9.9, 5.5), (0.0, 9.8, 5.0), (0.0, 9.8, 4.5), (0.0, 9.7, 4.0)]
    progress = Progress(step=250, history=history(*stuck))
    assert not progress.has_ended(settings)
    # Neither chrF nor the loss has improved three times.
    progress.history = history(*stuck, *[(0.0, 9.0, 4.1)] * 3)
    assert progress.stale_validations("bleu") == 3
    assert progress.has_ended(settings)
    # A BLEU that says something decides alone.
    progress.history = history((20.0, 40.0, 5.0), (19.0, 40.0, 4.0), (19.0, 40.0, 3.0), (19.0, 40.0, 2.0))
    assert progress.has_ended(settings)


def test_validations_are_spaced_where_an_epoch_is_a_step() -> None:
    progress, due = Progress(), []
    for step in range(1, 161):
        progress.step, progress.epoch = step, step
        if progress.is_due("auto", step - 1):
            due.append(step)
            progress.history.append({"step": step})
    assert due == [50, 100, 150]


def test_a_longer_epoch_is_validated_at_its_end() -> None:
    progress, due = Progress(), []
    for step in range(1, 301):
        before, progress.step, progress.epoch = (step - 1) // 40, step, step // 40
        if progress.is_due("auto", before):
            due.append(step)
            progress.history.append({"step": step})
    assert due == [80, 160, 240]
