"""`preset: auto`: the amount of text decides, and on a CPU the time that training would take."""

import pytest

from translator.config import PRESETS, Config, choose_preset, load_config, suggest_preset
from translator.config.presets import apply_preset
from translator.config.training_time import Cpu, describe_hours, estimated_hours, training_hours

MULTI30K, IWSLT14, WMT14, LARGE = 800_000, 7_000_000, 250_000_000, 2_000_000_000


def test_text_decides_by_its_tokens() -> None:
    assert [suggest_preset(tokens) for tokens in (MULTI30K, IWSLT14, WMT14, LARGE)] == ["tiny", "small", "base", "big"]
    assert [suggest_preset(tokens) for tokens in (0, 999_999, 1_000_000)] == ["tiny", "tiny", "small"]


@pytest.mark.parametrize("tokens", [MULTI30K, IWSLT14, WMT14, LARGE])
def test_a_gpu_gets_what_suits_the_text(tokens: int) -> None:
    choice = choose_preset(Config(), tokens, None)
    assert choice.name == suggest_preset(tokens)
    million = f"{tokens / 1e6:,.1f}"
    text = f"preset {choice.name}: suits about {million} M tokens of source and target; preset=NAME chooses another one"
    assert str(choice) == text


@pytest.mark.parametrize(
    ("tokens", "cores", "precision", "settings", "name", "reason"),
    [
        (
            MULTI30K, 2, "bf16", [], "tiny",
            "suits about 0.8 M tokens of source and target, and takes about 30 minutes on 2 CPU cores; preset=NAME",
        ),
        (
            IWSLT14, 2, "bf16", [], "mini",
            "takes about 34 minutes on 2 CPU cores; small, which suits about 7.0 M tokens of source and target, would "
            "take about 22 hours; preset=small chooses it",
        ),
        (IWSLT14, 8, "bf16", [], "small", "and takes about 6 hours on 8 CPU cores"),
        (IWSLT14, 4, "fp32", [], "mini", "on 4 CPU cores; small, which suits"),
        (WMT14, 16, "bf16", [], "small", "on 16 CPU cores; base, which suits"),
        (LARGE, 1, "fp32", [], "mini", "on 1 CPU core; big, which suits about 2,000.0 M tokens of source and target"),
        # What the settings state of model and training counts.
        (IWSLT14, 2, "bf16", ["training.max_steps=10k"], "small", "and takes about 4 hours"),
        (IWSLT14, 2, "bf16", ["training.max_epochs=10"], "small", "and takes about 4 hours"),
        (IWSLT14, 2, "bf16", ["model.encoder_layers=1", "model.decoder_layers=1"], "small", "and takes about 6 hours"),
        (IWSLT14, 8, "bf16", ["devices=8"], "mini", "would take about 44 hours"),
        (IWSLT14, 1, "fp32", ["training.max_steps=50k"], "tiny", "takes about 9 hours on 1 CPU core; small"),
        (1200, 2, "bf16", ["training.accumulate=9"], "tiny", "suits about 1,200 tokens of source and target, and"),
    ],
)  # fmt: skip
def test_a_cpu_gets_what_is_trained_in_hours(
    tokens: int, cores: int, precision: str, settings: list[str], name: str, reason: str
) -> None:
    choice = choose_preset(load_config(None, settings), tokens, Cpu(cores, precision))
    assert choice.name == name
    assert reason in choice.reason and "\n" not in str(choice)


def test_estimates_are_those_of_the_measured_speeds() -> None:
    # Target tokens a second of two threads: scripts/RESULTS.md, "Training speed against Hugging Face".
    for preset, precision, speed in (
        ("tiny", "bf16", 17_929), ("tiny", "fp32", 12_386), ("small", "bf16", 2_596), ("small", "fp32", 1_509),
    ):  # fmt: skip
        training = PRESETS[preset]["training"]
        hours = training["max_steps"] * training["batch_tokens"] / speed / 3600
        found = estimated_hours(apply_preset(Config(), preset), 1e6, Cpu(2, precision))
        assert found == pytest.approx(hours, rel=0.05)


def test_hours_of_a_training() -> None:
    training = load_config(
        None, ["preset=tiny", "training.max_steps=1000", "training.batch_tokens=500", "training.accumulate=2"]
    ).training
    assert training_hours(training, 1.8) == 1.0
    limited = training.model_copy(update={"max_epochs": 3})
    assert training_hours(limited, 1.8) == 1.0
    # An epoch has 50 steps of 1,000 tokens, in two processes 25.
    assert training_hours(limited, 1.8, 50_000) == pytest.approx(0.15)
    assert training_hours(limited, 1.8, 50_000, processes=2) == pytest.approx(0.075)


@pytest.mark.parametrize(
    ("hours", "text"),
    [
        (0.001, "1 minute"),
        (0.5, "30 minutes"),
        (1.6, "2 hours"),
        (47.4, "47 hours"),
        (60, "2 days"),
        (9000, "375 days"),
    ],
)
def test_hours_are_described(hours: float, text: str) -> None:
    assert describe_hours(hours) == text
