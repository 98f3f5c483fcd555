"""What is said of a training that goes wrong, and that nothing is said of one that goes well."""

import math

import pytest

from translator.training.health import describe_problems

SOURCES = [f"the dog number {number} runs" for number in range(20)]
REFERENCES = [f"Hund Nummer {number} rennt" for number in range(20)]
SAME = ["ein Mann"] * 20
LOOPS = [f"Hund {number} mit mit mit mit mit mit mit mit mit" for number in range(20)]


def losses(*values: float, every: int = 500) -> list[dict[str, float]]:
    return [{"step": (index + 1) * every, "loss": value, "bleu": 1.0} for index, value in enumerate(values)]


def problems(history: list[dict[str, float]], hypotheses: list[str] = REFERENCES, warmup_steps: int = 500) -> list[str]:
    return describe_problems(history, SOURCES, REFERENCES, hypotheses, warmup_steps=warmup_steps)


@pytest.mark.parametrize(
    "values",
    [
        (9.0,),
        (6.13, 5.30, 4.67, 4.39, 4.00, 3.69, 3.54, 3.42, 3.32),
        # The learning rate rises again when a finished run is given more steps.
        (2.81, 2.80, 2.79, 2.86, 2.84, 2.80),
        # Overfitting as it usually is, and spikes that pass.
        (4.0, 3.0, 2.9, 3.0, 3.2, 3.4, 3.6, 3.8, 4.0, 4.2),
        (4.0, 3.0, 4.2, 3.0),
        # Without label smoothing, a toy's loss goes to nothing and flickers there.
        (1.0, 0.05, 0.02, 0.09, 0.04),
    ],
)
def test_nothing_is_said_of_a_healthy_run(values: tuple[float, ...]) -> None:
    for end in range(1, len(values) + 1):
        assert problems(losses(*values[:end])) == []


def test_divergence_is_named() -> None:
    (problem,) = problems(losses(5.0, 4.0, 3.0, 6.5))
    assert "has risen from 3.00 (step 1,500) to 6.50" in problem
    assert "diverged" in problem and "training.learning_rate" in problem
    (later,) = problems(losses(5.0, 4.0, 3.0, 6.5, 6.4, 6.4))
    assert "diverged" in later


def test_learning_by_heart_is_not_called_divergence() -> None:
    (problem,) = problems(losses(3.0, 2.0, 2.2, 2.5, 2.8, 3.1))
    assert "memorising" in problem and "model.dropout" in problem


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_named(loss: float) -> None:
    (problem,) = problems(losses(4.0, loss))
    assert f"loss is {loss} after step 1,000" in problem
    assert problems(losses(loss, 4.0)) == []


@pytest.mark.parametrize(("hypotheses", "words"), [(SAME, "1 different translation "), (LOOPS, "over and over")])
def test_an_untrained_model_is_not_blamed(hypotheses: list[str], words: str) -> None:
    flat = losses(6.1, 6.1, 6.1, 6.1)
    for end in (1, 2, 3):
        assert problems(flat[:end], hypotheses, warmup_steps=1000) == []
    (problem,) = problems(flat, hypotheses, warmup_steps=1000)
    assert words in problem and "training.warmup_steps" in problem
    assert problems(losses(6.1, 6.1, 6.1, 5.8), hypotheses, warmup_steps=1000) == [], "it still learns"
    assert problems(losses(6.1, 6.1, every=400), hypotheses, warmup_steps=0) == []


def test_copies_are_named_at_once() -> None:
    (problem,) = problems(losses(7.0), SOURCES)
    assert "20 of 20 of the translations are copies of their source" in problem
    assert "data.train" in problem


def test_every_fault_has_its_remedy() -> None:
    overlong = [" ".join(REFERENCES[index:] + REFERENCES[:index]) for index in range(20)]
    flat = losses(6.0, 6.0, 6.0)
    for hypotheses, words in (([""] * 20, "too short"), (overlong, "data.max_length_ratio")):
        (problem,) = problems(flat, hypotheses)
        assert words in problem
    assert len(problems(losses(3.0, 3.0, 6.0), SAME)) == 2
