"""No text twice among the n best, and as many as were asked for if the model has them."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from translator.config import DecodingSettings
from translator.decoding import NativeEngine, Request
from translator.decoding.hypothesis import Hypothesis
from translator.translation.distinct import search_distinct

EOS = 2
SETTINGS = DecodingSettings(beam_size=4, n_best=4, max_length_factor=0.0, max_length_extra=2)


def decode_all(sequences: Sequence[Sequence[int]]) -> list[str]:
    """Pieces 3 to 6 spell the same letter; 7 spells nothing."""
    return ["".join("a" if piece < 7 else "" if piece == 7 else chr(90 + piece) for piece in ids) for ids in sequences]


def logits_of(source: tuple[int, ...], prefix: tuple[int, ...]) -> list[float]:
    if len(prefix) == 2:
        return [-30.0, -30.0, 9.0] + [-30.0] * 9
    return [-30.0, -30.0, 0.0, 3.0, 2.9, 2.8, 2.7, 2.6, 1.0, 0.8, 0.6, 0.4]


class Counting:
    """An engine that notes what is asked of it."""

    def __init__(self, engine: NativeEngine) -> None:
        self.engine, self.asked = engine, []  # type: ignore[var-annotated]
        self.name, self.longest_source = engine.name, engine.longest_source

    def search(self, requests: Sequence[Request], settings: DecodingSettings, **options: Any) -> list[list[Hypothesis]]:
        self.asked.append((len(requests), settings.beam_size, settings.n_best))
        return self.engine.search(requests, settings, **options)


def test_repeated_texts_are_merged_and_the_search_repeated(table_steps: Any) -> None:
    engine = Counting(NativeEngine(table_steps(logits_of)))
    requests = [Request((5,)), Request((6, 5))]
    usual = NativeEngine(table_steps(logits_of)).search(requests, SETTINGS)
    assert len(set(decode_all([hypothesis.tokens for hypothesis in usual[0]]))) < 4
    done: list[int] = []
    found = search_distinct(engine, requests, SETTINGS, decode_all, on_batch=done.append)
    assert sum(done) == 2 and engine.asked[0] == (2, 4, 4) and engine.asked[1] == (2, 8, 8)
    for own, before in zip(found, usual, strict=True):
        texts = decode_all([hypothesis.tokens for hypothesis in own])
        assert len(texts) == len(set(texts)) == 4
        scores = [hypothesis.score for hypothesis in own]
        assert scores == sorted(scores, reverse=True) and scores[0] >= before[0].score


def test_nothing_is_searched_again_without_need(table_steps: Any) -> None:
    engine = Counting(NativeEngine(table_steps(logits_of)))
    search_distinct(engine, [Request((5,))], SETTINGS, lambda sequences: [str(ids) for ids in sequences])
    search_distinct(engine, [Request((5,))], SETTINGS.model_copy(update={"n_best": 1}), decode_all)
    assert len(engine.asked) == 2


def test_a_model_with_fewer_texts_returns_those_it_has(table_steps: Any) -> None:
    found = search_distinct(
        NativeEngine(table_steps(logits_of)), [Request((5,))], SETTINGS, lambda sequences: ["same"] * len(sequences)
    )
    assert [len(own) for own in found] == [1]


@pytest.mark.parametrize("engine", ["native", "ctranslate2"])
def test_both_engines_repeat_no_text(
    tiny_run: Path, call_program: Callable[..., tuple[int, str, str]], tmp_path: Path, engine: str
) -> None:
    import shutil

    if engine == "ctranslate2":
        pytest.importorskip("ctranslate2", reason="ctranslate2 has no wheel for this platform")
    run = shutil.copytree(tiny_run, tmp_path / "run")
    words = [f"--engine={engine}", "--format=jsonl", "--set=n_best=5", "--set=beam_size=5"]
    code, output, errors = call_program("translate", run, *words, input=b"the dog sleeps.\na cat\nthe house\n")
    assert code == 0, errors
    for line in output.splitlines():
        texts = [" ".join(own["text"].split()) for own in json.loads(line)["hypotheses"]]
        assert len(texts) == len(set(texts)) >= 1
