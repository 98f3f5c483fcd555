"""Settings of decoding for one call."""

import pytest

from translator.config import DecodingSettings, read_call_settings, replace_stated
from translator.config.overrides import check_decoding, settings_from
from translator.errors import ConfigError


def test_settings_of_a_call_replace_those_of_the_run() -> None:
    call = read_call_settings(["beam_size=2", "decoding.length_alpha=1", "device=cpu"])
    settings_of_run = DecodingSettings(beam_size=7, max_length_extra=9)
    expected = DecodingSettings(beam_size=2, length_alpha=1.0, max_length_extra=9)
    assert replace_stated(settings_of_run, call) == expected
    assert call.device == "cpu"


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("beam=2", "decoding.beam: there is no such setting; did you mean decoding.beam_size?"),
        (
            "beam_size=none",
            "decoding.beam_size: expected a whole number such as 4096, 25k or 1.5M; found 'none'",
        ),
        ("beam_size", "`beam_size`: expected KEY=VALUE"),
        ("model.d_model=2", "model.d_model: only settings of decoding, and device, precision, threads"),
    ],
)
def test_wrong_settings_of_a_call_are_explained(word: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_call_settings([word])
    assert message in str(caught.value)


def test_settings_may_be_python_values() -> None:
    call = settings_from({"beam_size": 3, "banned": ["none", "a"], "prefix": "no"})
    expected = DecodingSettings(beam_size=3, banned=["none", "a"], prefix="no", seed=7)
    assert replace_stated(DecodingSettings(seed=7), call) == expected
    with pytest.raises(
        ConfigError, match=r"decoding.beams: there is no such setting; did you mean decoding.beam_size\?"
    ):
        settings_from({"beams": 3})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"n_best": 3, "beam_size": 2}, "decoding.n_best: 3 translations cannot come from decoding.beam_size = 2"),
        ({"n_best": 9, "search": "mbr", "mbr_samples": 8}, "cannot come from decoding.mbr_samples = 8"),
        ({"diverse_groups": 2, "beam_size": 5}, "decoding.diverse_groups: 2 groups do not divide"),
        ({"required": ["a"], "beam_size": 1}, "decoding.required: decoding.beam_size = 1 cannot place required"),
        ({"required": ["a"], "search": "sampling"}, "decoding.required: decoding.search = sampling cannot place"),
        ({"required": ["a"], "search": "mbr"}, "decoding.required: decoding.search = mbr cannot place required"),
    ],
)
def test_settings_that_are_impossible_together(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_decoding(DecodingSettings.model_validate(values))
    check_decoding(DecodingSettings(n_best=9, search="sampling", beam_size=2))
    check_decoding(DecodingSettings(required=["a"], beam_size=2))
    check_decoding(DecodingSettings(required=[""], beam_size=1))


def test_all_impossible_combinations_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        check_decoding(DecodingSettings(n_best=2, beam_size=1, diverse_groups=2, required=["a"]))
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "decoding.n_best",
        "decoding.diverse_groups",
        "decoding.required",
    ]
