"""Which settings of decoding are impossible together, and that every way in finds them with all other mistakes."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from translator.config import Config, DecodingSettings, load_config, read_call_settings, replace_stated
from translator.config.decoding_rules import decoding_mistakes, validation_decoding
from translator.errors import ConfigError

IMPOSSIBLE = [
    (
        ["n_best=10", "beam_size=5"],
        "decoding.n_best: 10 translations cannot come from decoding.beam_size = 5",
    ),
    (["search=mbr", "n_best=9", "mbr_samples=8"], "decoding.n_best: 9 translations cannot come from"),
    (["diverse_groups=2", "beam_size=5"], "decoding.diverse_groups: 2 groups do not divide decoding.beam_size = 5"),
    (["required=[Hund]", "beam_size=1"], "decoding.required: decoding.beam_size = 1 cannot place required phrases"),
    (["required=[Hund]", "search=sampling"], "decoding.required: decoding.search = sampling cannot place"),
    (["required=[Hund]", "search=mbr"], "decoding.required: decoding.search = mbr cannot place required phrases"),
    (["banned=[' ']"], "decoding.banned: found a phrase without text"),
    (["banned=[Hun]", "required=[der  Hund]"], "decoding.required: every translation with 'der  Hund' holds 'Hun'"),
]


@pytest.mark.parametrize(("words", "message"), IMPOSSIBLE)
def test_impossible_decoding_is_refused_for_a_run_and_for_a_call(words: list[str], message: str) -> None:
    for preset in ("auto", "tiny"):
        with pytest.raises(ConfigError) as caught:
            load_config(None, [f"preset={preset}", *(f"decoding.{word}" for word in words)])
        assert [message in problem for problem in caught.value.problems] == [True]
    with pytest.raises(ConfigError) as caught:
        replace_stated(DecodingSettings(), read_call_settings(words))
    assert [message in problem for problem in caught.value.problems] == [True]


def test_what_is_possible_is_left_alone() -> None:
    for settings in (
        DecodingSettings(n_best=9, search="sampling", beam_size=2),
        DecodingSettings(required=["Hund"], beam_size=2, banned=["und", "Hunde"]),
        DecodingSettings(required=[""], beam_size=1),
        DecodingSettings(diverse_groups=4, beam_size=4, n_best=4),
    ):
        assert decoding_mistakes(settings) == []
    # What a call states is judged with the settings of the run that it replaces, and not with the defaults.
    assert replace_stated(DecodingSettings(beam_size=20), read_call_settings(["n_best=10"])).n_best == 10


def test_all_mistakes_are_said_at_once_whatever_their_kind() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(
            None,
            ["modle.d_model=3", "seed=x", "start_from=nowhere", "decoding.n_best=10", "decoding.diverse_groups=2"],
        )
    names = sorted(problem.split(":")[0] for problem in caught.value.problems)
    assert names == ["decoding.diverse_groups", "decoding.n_best", "modle", "seed", "start_from"]
    with pytest.raises(ConfigError) as caught:
        load_config(None, ["preset=tiny", "model.d_model=33", "decoding.n_best=10", "training.average_best=2"])
    names = [problem.split(":")[0] for problem in caught.value.problems]
    assert names == ["model.num_heads", "model.d_model", "training.average_best", "decoding.n_best"]


def test_a_beam_of_validation_that_the_groups_do_not_divide() -> None:
    words = ["training.validation_beam_size=4", "decoding.diverse_groups=5"]
    message = "training.validation_beam_size: decoding.diverse_groups = 5 does not divide a beam of 4; choose"
    with pytest.raises(ConfigError, match=message):
        load_config(None, words)
    for beam_size in (1, 5, 10):
        load_config(None, [f"training.validation_beam_size={beam_size}", words[1]])


def test_validation_searches_and_asks_for_nothing() -> None:
    decoding = DecodingSettings(
        search="mbr", beam_size=9, n_best=3, length_penalty="mean", length_alpha=0.3, max_length_factor=1.5,
        max_length_extra=7, min_length_factor=0.5, min_length_extra=3, diverse_groups=3, diversity_penalty=2.0,
        prefix="a", banned=["b"], required=["c"], repetition_penalty=1.0, block_ngrams=2, replace_unknown=True,
        temperature=0.5, top_k=3, top_p=0.5, seed=9, mbr_samples=4, quantize="int8", batch_tokens=99,
    )  # fmt: skip
    training = Config.model_validate({"training": {"validation_beam_size": 4}}).training
    assert validation_decoding(decoding, training) == DecodingSettings(
        beam_size=4, length_penalty="mean", length_alpha=0.3, max_length_factor=1.5, max_length_extra=7, batch_tokens=99
    )


@pytest.mark.parametrize(("words", "message"), IMPOSSIBLE[:1] + IMPOSSIBLE[3:4])
def test_commands_refuse_before_any_work(
    words: list[str],
    message: str,
    run_command: Callable[..., subprocess.CompletedProcess[bytes]],
    tiny_run: Path,
    tmp_path: Path,
) -> None:
    run = tmp_path / "run"
    for command in ("train", "config show", "data prepare"):
        result = run_command(*command.split(), "data.train=no.{en,de}", f"run={run}", *(f"decoding.{w}" for w in words))
        assert result.returncode == 1 and result.stderr.decode().startswith("error: ") and message in str(result.stderr)
        assert not run.exists()


def test_a_call_is_refused_before_the_model_is_loaded(
    call_program: Callable[..., tuple[int, str, str]], tiny_run: Path, tmp_path: Path
) -> None:
    # A run of which only the settings are left: had a model been looked for, the message would be another.
    shutil.copy(tiny_run / "config.yaml", tmp_path)
    file = tmp_path / "config.yaml"
    for command in (["translate"], ["evaluate", "--source", file, "--reference", file]):
        code, _, errors = call_program(*command, tmp_path, "--set", "n_best=3")
        assert code == 1 and "decoding.n_best: 3 translations cannot come from decoding.beam_size = 2" in errors
