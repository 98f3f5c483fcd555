"""Guided alignment: its loss against the formula, what it leaves alone, and that a head learns to align."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.patience import PATIENCE
from tests.training.varlen_on_cpu import Graphs, graphs, varlen_on_cpu
from translator.attention import pack
from translator.checkpoints import RunDirectory, load_bundle, read_checkpoint
from translator.config import ModelSettings, TrainingSettings, load_config
from translator.data.batches import Batch, BatchShape, SpecialTokens, make_linked_batch
from translator.data.dataset import Gathered
from translator.errors import CheckpointError
from translator.model import Transformer, build_model
from translator.runtime.device import choose_machine
from translator.training import train
from translator.training.compilation import CompiledForward
from translator.training.guided_alignment import GuidedHead
from translator.training.loss import batch_loss
from translator.training.state import TrainingState
from translator.training.update import Updater
from translator.translation.alignment_head import alignment_head
from translator.translation.word_alignment import AlignmentHead, layer_weights

__all__ = ["graphs", "varlen_on_cpu"]

SPECIAL_TOKENS = SpecialTokens(source_eos=2, target_bos=1, target_eos=2)
CPU = choose_machine("cpu", "fp32")


class Pairs:
    """Pairs of random pieces with links: source, target, and (source piece, target piece) each."""

    def __init__(self, rows: list[tuple[list[int], list[int], list[tuple[int, int]]]]) -> None:
        self.rows = rows
        self.source_lengths = np.array([len(source) for source, _, _ in rows], dtype=np.int32)
        self.target_lengths = np.array([len(target) for _, target, _ in rows], dtype=np.int32)

    def __len__(self) -> int:
        return len(self.rows)

    def gather_linked(self, indices: np.ndarray) -> tuple[Gathered, np.ndarray]:
        chosen = [self.rows[index] for index in indices]
        sides: list[np.ndarray] = []
        for side in (0, 1):
            pieces = [row[side] for row in chosen]
            sides += [np.concatenate(pieces), np.cumsum([0, *map(len, pieces)])]
        links = [(row, *link) for row, (_, _, own) in enumerate(chosen) for link in own]
        return Gathered(*sides), np.array(links, dtype=np.int64).reshape(-1, 3)


def some_pairs() -> Pairs:
    """Links of one to one, one to several, several to one and none; a pair without links between others."""
    return Pairs(
        [
            ([5, 6, 7], [20, 21], [(2, 0), (0, 1)]),
            ([8], [22, 23, 24, 25], []),
            ([9, 10, 11], [26, 27, 28], [(0, 2), (1, 2), (2, 2), (1, 0)]),
            ([11, 12, 13, 14, 15], [27, 28, 29], [(4, 0), (3, 0), (4, 1)]),
        ]
    )


def a_model(layers: int = 2, **changes: Any) -> Transformer:
    shape = {"d_model": 16, "d_ff": 16, "num_heads": 2, "dropout": 0.0}
    settings = ModelSettings(encoder_layers=1, decoder_layers=layers, **{**shape, **changes})
    return build_model(settings, 40, 40, seed=1).train()


def expected_loss(model: Transformer, batch: Batch, pairs: Pairs, layer: int, head: int) -> Tensor:
    """Minus the sum over linked target pieces of the mean log-weight of their source pieces."""
    memory, states = model.encode(batch.source), model.target_embedding(batch.target)
    for before in list(model.decoder_layers)[: layer - 1]:
        states = before(states, batch.target.layout, memory, batch.source.layout)
    weights = layer_weights(
        model.decoder_layers[layer - 1],
        states,
        batch.target.layout,
        memory,
        batch.source.layout,  # type: ignore[arg-type]
    )
    total = torch.zeros(())
    for row, (_, target, links) in enumerate(pairs.rows):
        for position in range(len(target)):
            linked = [left for left, right in links if right == position]
            if linked:
                total = total - weights[row, head - 1, position, linked].log().mean()
    return total


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize(("layer", "head"), [(1, 2), (2, 1)])
def test_the_loss_is_that_of_the_formula(layer: int, head: int, norm: str) -> None:
    model, pairs = a_model(norm=norm), some_pairs()
    batch = make_linked_batch(pairs, np.arange(4), SPECIAL_TOKENS)
    plain = batch_loss(model, batch, CPU, smoothing=0.1)
    expected = expected_loss(model, batch, pairs, layer, head)
    found = batch_loss(model, batch, CPU, smoothing=0.1, guided=GuidedHead(model, layer, head, 0.3))
    assert found.alignment is not None
    torch.testing.assert_close(found.alignment, expected.detach())
    torch.testing.assert_close(found.objective, plain.objective + 0.3 * expected)
    assert torch.equal(found.smoothed, plain.smoothed) and torch.equal(found.nll, plain.nll)
    parameters = list(model.parameters())
    mine = torch.autograd.grad(found.objective, parameters)
    wanted = torch.autograd.grad(plain.objective + 0.3 * expected, parameters)
    for one, other in zip(mine, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    assert model.attentions("cross")[layer - 1].kept is None, "activations would stay in memory"


def test_two_passes_and_filler_change_nothing() -> None:
    model, pairs = a_model(), some_pairs()
    guided = GuidedHead(model, 1, 1, 1.0)
    batch = make_linked_batch(pairs, np.arange(4), SPECIAL_TOKENS)
    once = batch_loss(model, batch, CPU, smoothing=0.1, guided=guided)
    twice = batch_loss(model, batch, CPU, smoothing=0.1, r_drop=1.0, guided=guided)
    torch.testing.assert_close(twice.alignment, once.alignment)
    torch.testing.assert_close(twice.objective, once.objective)
    shape = BatchShape.fixed(pairs, 40, 8)  # type: ignore[arg-type]
    filled = make_linked_batch(pairs, np.arange(4), SPECIAL_TOKENS, shape)
    assert filled.source.layout.num_sentences > 4 and not filled.source.layout.lengths[-1]
    found = batch_loss(model, filled, CPU, smoothing=0.1, guided=guided)
    torch.testing.assert_close(found.alignment, once.alignment)
    gradients = [torch.autograd.grad(each.objective, list(model.parameters())) for each in (found, once)]
    for mine, reference in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, reference, atol=1e-5, rtol=1e-4)


def test_a_batch_without_links_adds_nothing() -> None:
    model, pairs = a_model(), some_pairs()
    batch = make_linked_batch(pairs, np.array([1, 1]), SPECIAL_TOKENS)
    found = batch_loss(model, batch, CPU, smoothing=0.1, guided=GuidedHead(model, 1, 1, 1.0))
    plain = batch_loss(a_model(), batch, CPU, smoothing=0.1)
    assert found.alignment == 0.0 and torch.equal(found.objective, plain.objective)
    assert batch.links is not None and batch.links.tokens == 0


@pytest.mark.usefixtures("varlen_on_cpu")
@pytest.mark.parametrize("by_layer", [False, True])
def test_a_compiled_model_is_guided_alike(by_layer: bool, graphs: Graphs) -> None:
    model, pairs = a_model(layers=3), some_pairs()
    guided = GuidedHead(model, 2, 2, 0.5)
    shape = BatchShape.fixed(pairs, 40, 8)  # type: ignore[arg-type]
    compiled = CompiledForward(model, by_layer)
    for chosen in ([0, 1, 2, 3], [2, 0], [1, 3, 0]):
        batch = make_linked_batch(pairs, np.array(chosen), SPECIAL_TOKENS, shape)
        found, expected = (
            batch_loss(model, batch, CPU, smoothing=0.1, guided=guided, forward=forward) for forward in (compiled, None)
        )
        torch.testing.assert_close(found.alignment, expected.alignment)
        gradients = [torch.autograd.grad(each.objective, list(model.parameters())) for each in (found, expected)]
        for mine, reference in zip(*gradients, strict=True):
            torch.testing.assert_close(mine, reference, atol=1e-5, rtol=1e-4)
    # Layer by layer, the one that keeps its queries has a graph of its own.
    assert (graphs.count, graphs.breaks()) == (3 if by_layer else 1, {})


def updater(model: Transformer, weight: float, **settings: Any) -> Updater:
    training = TrainingSettings(learning_rate=0.01, adam_epsilon=1e-3, guided_alignment=weight, **settings)
    return Updater(TrainingState.initial(model, training, CPU), training, CPU)


def test_a_step_is_the_same_in_one_batch_or_several() -> None:
    whole, parts = a_model(), a_model()
    batch = make_linked_batch(some_pairs(), np.arange(4), SPECIAL_TOKENS)
    first, second = updater(whole, 0.5)([batch]), updater(parts, 0.5)(batch.halves())
    assert first.linked_tokens == second.linked_tokens == 6
    torch.testing.assert_close(first.alignment, second.alignment)
    for mine, reference in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(mine, reference, atol=1e-5, rtol=1e-4)
    without = a_model()
    sums = updater(without, 0.0)([batch])
    assert sums.alignment is None
    assert not torch.allclose(
        without.decoder_layers[0].cross_attention.input_weight,  # type: ignore[operator, union-attr]
        whole.decoder_layers[0].cross_attention.input_weight,
    )  # type: ignore[operator, union-attr]


def test_a_batch_that_does_not_fit_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the failed forward pass kept must not stay in memory while the halves are computed."""
    model = a_model()
    update = updater(model, 0.5)
    kept: list[bool] = []
    decode = model.decode

    def fail_once(*arguments: Any) -> Tensor:
        kept.append(model.attentions("cross")[0].kept is not None)
        states = decode(*arguments)
        if len(kept) == 1:
            raise torch.OutOfMemoryError("out of memory, says the test")
        return states

    monkeypatch.setattr(model, "decode", fail_once)
    assert update([make_linked_batch(some_pairs(), np.arange(4), SPECIAL_TOKENS)]).linked_tokens == 6
    assert kept == [False, False, False]


def reversed_pairs(count: int, seed: int) -> Pairs:
    """Four pieces and the same backwards, as other pieces, and linked so."""
    random = np.random.default_rng(seed)
    sources = random.integers(3, 20, (count, 4)).tolist()
    links = [(3 - position, position) for position in range(4)]
    return Pairs([(source, [piece + 20 for piece in source[::-1]], links) for source in sources])


def share_right(model: Transformer, pairs: Pairs, layer: int, head: int) -> float:
    """How often the head looks most at the linked source piece."""
    model.eval()
    right = []
    for source, target, links in pairs.rows:
        packed, known = pack([[*source, 2]]), pack([[1, *target[:-1]]])
        memory, states = model.encode(packed), model.target_embedding(known)
        for before in list(model.decoder_layers)[: layer - 1]:
            states = before(states, known.layout, memory, packed.layout)
        weights = layer_weights(model.decoder_layers[layer - 1], states, known.layout, memory, packed.layout)  # type: ignore[arg-type]
        right += (weights[0, head - 1].argmax(-1) == torch.tensor([left for left, _ in links])).tolist()
    return float(np.mean(right))


def test_a_head_learns_a_given_alignment() -> None:
    """Guided, the head knows where a piece comes from; left to itself, it does not in as many steps."""
    train_pairs, test_pairs = reversed_pairs(400, 1), reversed_pairs(50, 2)
    found = {}
    for weight in (0.0, 1.0):
        model = a_model(d_model=32)
        update = updater(model, weight)
        for step in range(150):
            chosen = np.random.default_rng(step).choice(len(train_pairs), 24, replace=False)
            update([make_linked_batch(train_pairs, chosen, SPECIAL_TOKENS)])
        found[weight] = share_right(model, test_pairs, 1, 1)
    assert found[1.0] > 0.9 and found[0.0] < 0.5, found


GUIDED = ["training.guided_alignment=0.1", "training.subword_sampling=0.1"]


@pytest.fixture
def linked(settings_file: Path) -> Path:
    """The corpus of this room, with links of words at the same index, and a third of the pairs without any."""
    folder = settings_file.parent
    lines = [(folder / f"train.{language}").read_text().splitlines() for language in ("en", "de")]
    links = [
        "" if index % 3 == 0 else " ".join(f"{word}-{word}" for word in range(min(map(len, map(str.split, pair)))))
        for index, pair in enumerate(zip(*lines, strict=True))
    ]
    (folder / "train.links").write_text("".join(f"{line}\n" for line in links))
    text = settings_file.read_text().replace("data:\n", f"data:\n  alignments: {folder}/train.links\n")
    settings_file.write_text(text)
    return settings_file


def lines_of(run: Path, kind: str) -> list[dict[str, Any]]:
    return [line for line in map(json.loads, (run / "metrics.jsonl").read_text().splitlines()) if line["kind"] == kind]


def test_a_run_resumes_exactly_and_aligns_by_its_head(linked: Path) -> None:
    folder = linked.parent
    train(load_config(linked, [*GUIDED, f"run={folder / 'whole'}"]))
    for steps in (5, 12):
        train(load_config(linked, [*GUIDED, f"training.max_steps={steps}"]))
    found, expected = (read_checkpoint(RunDirectory(folder / name).checkpoint(12)) for name in ("run", "whole"))
    assert all(torch.equal(found.weights[name], weight) for name, weight in expected.weights.items())
    logged = [line["alignment"] for line in lines_of(folder / "whole", "train")]
    assert len(logged) == 6 and 0.0 < logged[-1] < logged[0] < 4.0
    bundle = load_bundle(folder / "run", device="cpu")
    assert alignment_head(bundle, "auto") == AlignmentHead(1, 1)
    assert alignment_head(bundle, "1.2") == AlignmentHead(1, 2)
    assert not (folder / "run" / "alignment.json").exists(), "no head was learned"


def test_links_that_nobody_learns_change_nothing(linked: Path) -> None:
    folder = linked.parent
    train(load_config(linked, [f"run={folder / 'linked'}"]))
    train(load_config(linked, ["data.alignments=null", f"run={folder / 'plain'}"]))
    found, expected = (read_checkpoint(RunDirectory(folder / name).checkpoint(12)) for name in ("linked", "plain"))
    assert all(torch.equal(found.weights[name], weight) for name, weight in expected.weights.items())
    assert all("alignment" not in line for line in lines_of(folder / "linked", "train"))


def test_a_run_is_bound_to_its_links(linked: Path) -> None:
    train(load_config(linked, [*GUIDED, "training.max_steps=4"]))
    links = linked.parent / "train.links"
    links.write_text(links.read_text().replace("0-0", "0-1"))
    with pytest.raises(CheckpointError, match="was begun with other content of"):
        train(load_config(linked, GUIDED))


@pytest.mark.parametrize("sharded", ["true", "false"])
def test_two_processes_learn_what_one_does(
    sharded: str, linked: Path, start_ranks: Callable[..., list[subprocess.Popen[str]]]
) -> None:
    folder = linked.parent
    common = ["training.guided_alignment=0.5", "training.max_steps=4", "model.dropout=0", "training.adam_epsilon=1e-3",
              "precision=fp32", "device=cpu", "training.average_last=1"]  # fmt: skip
    train(load_config(linked, [*common, "training.accumulate=2", f"run={folder / 'alone'}"]))
    shutil.rmtree(folder / "run", ignore_errors=True)
    processes = start_ranks(2, "-m", "translator", "train", linked, *common, f"training.sharded={sharded}")
    errors = [process.communicate(timeout=PATIENCE)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "".join(errors)
    found, expected = (read_checkpoint(RunDirectory(folder / name).checkpoint(4)) for name in ("run", "alone"))
    for name, weight in expected.weights.items():
        torch.testing.assert_close(found.weights[name], weight, atol=2e-5, rtol=1e-4)
    losses = [lines_of(folder / name, "train")[-1]["alignment"] for name in ("run", "alone")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
