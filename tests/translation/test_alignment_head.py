"""Which head alignments come from: the one that knows what translates what, kept with the run."""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from translator.checkpoints import Bundle, load_bundle
from translator.errors import ConfigError
from translator.translation import alignment_head as module
from translator.translation.alignment_head import (
    ALIGNMENT,
    ENOUGH_PAIRS,
    alignment_head,
    keep_alignment_head,
    learn_alignment_head,
)
from translator.translation.word_alignment import AlignmentHead, Pair


def invented(pairs: int, seed: int = 1) -> tuple[list[Pair], list[list[int]]]:
    """Translations of words by a dictionary (each has two), in another order, and where each word came from."""
    random = np.random.default_rng(seed)
    made: list[Pair] = []
    truth = []
    for number in range(pairs):
        words = [*random.integers(10, 60, random.integers(4, 12)).tolist(), 10_000 + number]
        order = random.permutation(len(words)).tolist()
        made.append((words, [words[place] + 100 * int(random.integers(1, 3)) for place in order]))
        truth.append(order)
    return made, truth


@pytest.fixture
def bundle(tiny_run: Path, tmp_path: Path) -> Bundle:
    """A run with a directory of its own; its model has the shape of the invented heads."""
    loaded = load_bundle(tiny_run, device="cpu")
    model = loaded.config.model.model_copy(update={"decoder_layers": 3})
    return dataclasses.replace(loaded, directory=tmp_path, config=loaded.config.model_copy(update={"model": model}))


@pytest.fixture
def pairs(monkeypatch: pytest.MonkeyPatch) -> list[Pair]:
    """Pairs for the invented heads, which look in place of the model's."""
    made, truth = invented(300)

    def look(bundle: Bundle, pairs: Sequence[Pair], layers: Sequence[int]) -> Iterator[tuple[list[int], Any]]:
        random = np.random.default_rng(2)
        assert list(layers) == [1, 2, 3]
        for index, (source, target) in enumerate(pairs):
            order = truth[made.index((source, target))]
            last = len(source) - 1
            # The truth, and the place before; the first place, and a rare word; anywhere, and the end.
            places = [order, [0, *order[:-1]], [0] * len(order), [last] * len(order)]
            places += [random.integers(0, last + 1, len(order)).tolist(), [max(last - 1, 0)] * len(order)]
            # Pads after the target are to be ignored.
            yield [index], torch.tensor(places).view(3, 1, 2, -1).repeat(1, 1, 1, 2)

    monkeypatch.setattr(module, "most_attended", look)
    return made


def test_a_head_that_was_trained_to_align_is_taken(bundle: Bundle) -> None:
    training = bundle.config.training.model_copy(update={"guided_alignment": 0.1})
    guided = dataclasses.replace(bundle, config=bundle.config.model_copy(update={"training": training}))
    keep_alignment_head(guided, AlignmentHead(3, 2, 0.5, 200))
    assert alignment_head(guided, "auto") == AlignmentHead(2, 1)
    assert alignment_head(guided, "3.2") == AlignmentHead(3, 2)


def test_the_head_that_knows_is_chosen(bundle: Bundle, pairs: list[Pair]) -> None:
    head = learn_alignment_head(bundle, *zip(*pairs, strict=True))
    assert (head.layer, head.head, head.pairs) == (1, 1, 300)
    assert head.score is not None and 0.2 < head.score < 1.0
    few = learn_alignment_head(bundle, *zip(*pairs[:20], strict=True))
    assert (few.layer, few.head, few.pairs) == (1, 1, 20)


def test_only_what_is_known_beyond_the_sentence_counts() -> None:
    pairs, truth = invented(300)
    target = np.concatenate([side for _, side in pairs])
    sentence = np.repeat(np.arange(len(pairs)), [len(side) for _, side in pairs])
    by_truth = np.concatenate([np.array(source)[order] for (source, _), order in zip(pairs, truth, strict=True)])
    rare = np.repeat([source[-1] for source, _ in pairs], [len(side) for _, side in pairs])
    # A rare word names its sentence and so tells much of the target, whatever it translates.
    assert module._mutual_information(rare, target) > 0.5 * module._mutual_information(by_truth, target)
    assert module._information(rare, target, sentence) == pytest.approx(0.0, abs=1e-9)
    assert module._information(by_truth, target, sentence) > 0.2
    anywhere = by_truth[np.lexsort((np.random.default_rng(5).random(len(target)), sentence))]
    assert module._information(anywhere, target, sentence) == pytest.approx(0.0, abs=0.02)
    assert module._information(by_truth, np.ones_like(target), sentence) == 0.0


def test_the_estimate_is_the_textbook_formula() -> None:
    left, right = np.array([0, 0, 1, 1, 1, 7]), np.array([5, 5, 5, 3, 3, 3])
    joint = {(0, 5): 2, (1, 5): 1, (1, 3): 2, (7, 3): 1}
    counts = {0: 2, 1: 3, 7: 1}
    expected = sum(n / 6 * np.log((n / 6) / (counts[a] / 6 * 0.5)) for (a, _), n in joint.items())
    assert module._mutual_information(left, right) == pytest.approx(expected)
    assert module._mutual_information(right, right) == pytest.approx(np.log(2))


def test_pairs_that_do_not_fit_are_left_out(tiny_run: Path) -> None:
    bundle = load_bundle(tiny_run, device="cpu")
    sources = [[5, 6, 7], [8] * 64, [9], [], np.array([10, 11], dtype=np.int32)]
    targets = [[20, 21], [22], [23] * 64, [24], np.array([25, 26], dtype=np.int32)]
    assert learn_alignment_head(bundle, sources, targets).pairs == 2
    assert learn_alignment_head(bundle, [], []) == AlignmentHead(1, 1, 0.0)


def test_what_was_learned_is_kept_and_said_once(
    bundle: Bundle, pairs: list[Pair], capsys: pytest.CaptureFixture[str]
) -> None:
    learned = alignment_head(bundle, "auto", pairs)
    place = bundle.directory / ALIGNMENT
    message = f"alignments come from head 1.1, learned from 300 translations (kept in {place})\n"
    assert capsys.readouterr().err == message
    stored = json.loads(place.read_text())
    model = {"weights": "final", "step": 12, "digest": bundle.digest}
    assert stored == {"layer": 1, "head": 1, "score": learned.score, "pairs": 300, **model}
    assert alignment_head(bundle, "auto") == learned
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("change", [{"weights": "step-00000012"}, {"step": 13}, {"digest": "0"}])
def test_other_weights_learn_anew(bundle: Bundle, pairs: list[Pair], change: dict[str, Any]) -> None:
    keep_alignment_head(bundle, AlignmentHead(3, 2, 0.5, 200))
    assert alignment_head(bundle, "auto", pairs) == AlignmentHead(3, 2, 0.5, 200)
    other = dataclasses.replace(bundle, **change)
    assert alignment_head(other, "auto", pairs).layer == 1
    assert alignment_head(other, "auto").layer == 1


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"weights": "final", "step": 12, "layer": "1", "head": 1}', "\udcff",
     '{"weights": "final", "step": 12, "layer": 4, "head": 1}', '{"weights": "final", "step": 12, "lay": 4}'],
)  # fmt: skip
def test_a_file_that_makes_no_sense_is_written_anew(bundle: Bundle, pairs: list[Pair], text: str) -> None:
    (bundle.directory / ALIGNMENT).write_bytes(text.encode("utf-8", "surrogateescape"))
    learned = alignment_head(bundle, "auto", pairs)
    assert learned.layer == 1
    assert alignment_head(bundle, "auto") == learned


def test_a_directory_that_cannot_be_written_is_no_error(
    bundle: Bundle, pairs: list[Pair], capsys: pytest.CaptureFixture[str]
) -> None:
    gone = dataclasses.replace(bundle, directory=bundle.directory / "gone")
    assert alignment_head(gone, "auto", pairs).layer == 1
    assert "learned from 300 translations (not kept)" in capsys.readouterr().err


def test_a_few_pairs_serve_for_now_only(bundle: Bundle, pairs: list[Pair], capsys: pytest.CaptureFixture[str]) -> None:
    few = pairs[: ENOUGH_PAIRS - 1]
    assert alignment_head(bundle, "auto", few).pairs == len(few)
    assert "(not kept)" in capsys.readouterr().err
    assert not (bundle.directory / ALIGNMENT).exists()


@pytest.mark.parametrize("sample", [None, []])
def test_nothing_to_learn_from(bundle: Bundle, sample: list[Pair] | None) -> None:
    with pytest.raises(ConfigError, match="has learned no head yet; translate something, or set LAYER.HEAD"):
        alignment_head(bundle, "auto", sample)


def test_a_head_can_be_stated(bundle: Bundle) -> None:
    assert alignment_head(bundle, "3.2") == AlignmentHead(3, 2)


@pytest.mark.parametrize("setting", ["", "1", "0.1", "4.1", "1.3", "1.0", "-1.1", "a.b", "1.1.1", "Auto", " 1.1"])
def test_a_head_that_does_not_exist_is_refused(bundle: Bundle, setting: str) -> None:
    with pytest.raises(ConfigError) as caught:
        alignment_head(bundle, setting)
    expected = "expected `auto` or LAYER.HEAD with a layer from 1 to 3 and a head from 1 to 2, such as 1.1"
    assert caught.value.problems == [f"decoding.alignment: found {setting!r}, {expected}"]
