"""A pruned run computes the same as the whole run with these heads masked; the least important heads go first."""

import errno
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from translator.attention import pack
from translator.checkpoints import (
    Bundle,
    Checkpoint,
    RunDirectory,
    load_bundle,
    model_tensors,
    read_checkpoint,
    run_identity,
)
from translator.checkpoints import write_checkpoint as write
from translator.config import KINDS, Head, ModelSettings, guided_head, parse_head, read_run_config, write_config
from translator.errors import CheckpointError, ConfigError
from translator.inspection import prune as module
from translator.inspection.importance import Importance, loss_of, measure_importance, model_heads, without_heads
from translator.inspection.pairs import encode_pairs
from translator.inspection.prune import choose_heads, kept_heads, prune_run
from translator.model import build_model
from translator.translation.alignment_head import read_alignment_head

SOURCES = ["a dog sleeps.", "the red house", "a cat, a man.", "on the big street"]
TARGETS = ["the dog reads.", "on", "a man runs, a cat.", "the street"]
HEADS = [parse_head(name) for name in ("encoder.2.1", "decoder.1.3", "cross.1.1", "cross.1.2", "cross.2.3")]


@pytest.fixture(scope="module")
def run(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny run with two layers of three heads, a checkpoint, and an alignment head."""
    path = tmp_path_factory.mktemp("prune") / "whole"
    shutil.copytree(tiny_run, path)
    config = read_run_config(path)
    model = config.model.model_copy(update={"encoder_layers": 2, "decoder_layers": 2, "num_heads": 3, "head_dim": 5})
    write_config(config.model_copy(update={"model": model}), path / "config.yaml")
    built = build_model(model, *([load_bundle(tiny_run).tokenizers.source.vocab_size] * 2), seed=3)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(7)) * 0.3)
    weights = model_tensors(built)
    # Every number is its own index.
    moments = {
        f"{name}/exp_avg": torch.arange(w.numel(), dtype=torch.float32).view_as(w) for name, w in weights.items()
    }
    moments |= {f"{name}/step": torch.tensor(12.0) for name in weights}
    write(path / "models" / "final", Checkpoint(weights, {}, {"step": 12, "bleu": 3.0, "loss": 4.0}))
    write(path / "checkpoints" / "step-00000012", Checkpoint(weights, moments, {"step": 12, "history": [{"step": 12}]}))
    stored = {"layer": 1, "head": 3, "score": 0.2, "pairs": 200, "weights": "final", "step": 12}
    (path / "alignment.json").write_text(json.dumps(stored))
    return path


@pytest.fixture
def bundle(run: Path) -> Bundle:
    return load_bundle(run, device="cpu")


def logits(bundle: Bundle) -> torch.Tensor:
    batch = pack([[5, 6, 7, 2], [8, 2]]), pack([[1, 5, 6], [1, 7, 8, 9]])
    with torch.inference_mode():
        return bundle.model.logits(bundle.model(*batch))


def test_a_pruned_run_computes_what_masking_computes(run: Path, bundle: Bundle, tmp_path: Path) -> None:
    prune_run(run, HEADS, tmp_path / "pruned")
    pruned = load_bundle(tmp_path / "pruned", device="cpu")
    counts = {kind: [module.num_heads for module in pruned.model.attentions(kind)] for kind in KINDS}
    assert counts == {"encoder": [3, 2], "decoder": [2, 3], "cross": [1, 2]}
    whole = logits(bundle)
    with without_heads(bundle.model, HEADS):
        torch.testing.assert_close(logits(pruned), logits(bundle))
    assert not torch.allclose(logits(pruned), whole, atol=1e-2)
    assert (pruned.weights, pruned.step) == ("final", 12)
    state = read_checkpoint(tmp_path / "pruned" / "models" / "final").state
    note = {"run": str(run.resolve()), "weights": "final", "heads": list(map(str, HEADS))}
    assert state == {"step": 12, "pruned": note, **run_identity(tmp_path / "pruned").as_state()}


def test_the_optimizer_loses_the_same_numbers_as_the_weights(run: Path, bundle: Bundle, tmp_path: Path) -> None:
    prune_run(run, HEADS, tmp_path / "pruned")
    found = read_checkpoint(RunDirectory(tmp_path / "pruned").checkpoint(12))
    before = read_checkpoint(RunDirectory(run).checkpoint(12))
    assert found.state["history"] == [] and found.optimizer.keys() == before.optimizer.keys()
    for name, weight in found.weights.items():
        numbers = found.optimizer[f"{name}/exp_avg"].long().flatten()
        assert torch.equal(before.weights[name].flatten()[numbers], weight.flatten()), name
        assert found.optimizer[f"{name}/step"] == 12.0


def test_the_alignment_head_keeps_its_place_or_goes(run: Path, tmp_path: Path) -> None:
    prune_run(run, [Head("cross", 1, 1)], tmp_path / "kept")
    head = read_alignment_head(load_bundle(tmp_path / "kept", device="cpu"))
    assert head is not None and (head.layer, head.head) == (1, 2)
    prune_run(run, [Head("cross", 1, 3)], tmp_path / "gone")
    assert read_alignment_head(load_bundle(tmp_path / "gone", device="cpu")) is None


def test_the_guided_head_keeps_its_place_or_is_guided_no_more(run: Path, tmp_path: Path) -> None:
    source, changes = tmp_path / "source", {"guided_alignment": 0.1, "guided_alignment_head": "1.3"}
    shutil.copytree(run, source)
    config = read_run_config(source)
    write_config(
        config.model_copy(update={"training": config.training.model_copy(update=changes)}), source / "config.yaml"
    )
    for name, pruned, expected in (("kept", 1, "cross.1.2"), ("gone", 3, "None"), ("other", 2, "cross.1.3")):
        heads = [Head("cross", 2 if name == "other" else 1, pruned)]
        found = prune_run(source, heads, tmp_path / name)
        assert str(guided_head(found.training, found.model)) == expected
        assert read_run_config(tmp_path / name) == found


def test_what_belongs_to_the_run_goes_along(run: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(run, source)
    config = read_run_config(source)
    write_config(config.model_copy(update={"start_from": "runs/other"}), source / "config.yaml")
    (source / "metrics.jsonl").write_text('{"kind": "train", "step": 12}\n')
    stored = json.loads((source / "alignment.json").read_text())
    (source / "alignment.json").write_text(json.dumps({**stored, "weights": "mean"}))
    (source / "prepared").mkdir()
    output = tmp_path / "pruned"
    pruned = prune_run(source, [Head("cross", 2, 1)], output)
    assert read_run_config(output) == pruned
    # Its shape differs from that of the run that it started from.
    assert (pruned.run, pruned.start_from, pruned.data.prepared) == (str(output), None, str(source / "prepared"))
    assert (output / "metrics.jsonl").read_bytes() == (source / "metrics.jsonl").read_bytes()
    # The alignment head of other weights may be another one.
    assert not (output / "alignment.json").exists()


def test_a_pruned_run_can_be_pruned_again(run: Path, bundle: Bundle, tmp_path: Path) -> None:
    prune_run(run, [Head("cross", 1, 1)], tmp_path / "once")
    prune_run(tmp_path / "once", [Head("cross", 1, 2)], tmp_path / "twice")
    with without_heads(bundle.model, [Head("cross", 1, 1), Head("cross", 1, 3)]):
        torch.testing.assert_close(logits(load_bundle(tmp_path / "twice", device="cpu")), logits(bundle))


def test_all_mistakes_are_named_and_nothing_is_written(run: Path, tmp_path: Path) -> None:
    wrong = ["cross.1.4", "encoder.3.1", "decoder.1.1", "decoder.1.1", "cross.2.1", "cross.2.2", "cross.2.3"]
    with pytest.raises(ConfigError) as caught:
        prune_run(run, [parse_head(name) for name in wrong], tmp_path / "pruned")
    assert caught.value.problems == [
        "heads: the model has no cross.1.4; its cross layers have 3, 3 heads",
        "heads: the model has no encoder.3.1; its encoder layers have 3, 3 heads",
        "heads: decoder.1.1 is named twice",
        "heads: nothing would be left of cross.2; keep one of its heads",
    ]
    assert not (tmp_path / "pruned").exists()
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    with pytest.raises(CheckpointError, match="is not an empty directory"):
        prune_run(run, HEADS, tmp_path / "taken")
    with pytest.raises(CheckpointError, match="cannot be created in"):
        prune_run(run, HEADS, tmp_path / "taken" / "file" / "pruned")


def test_a_full_disk_is_explained_and_leaves_nothing(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "copy_tokenizers", full)
    with pytest.raises(CheckpointError, match="cannot write .*: No space left on device; make room"):
        prune_run(run, HEADS, tmp_path / "pruned")
    assert not list(tmp_path.iterdir())


def test_the_head_that_matters_least_goes_first(bundle: Bundle) -> None:
    pairs = encode_pairs(bundle, SOURCES, TARGETS)
    found = measure_importance(bundle, pairs)
    choice = choose_heads(bundle, pairs, count=1)
    assert choice.heads == [min(found.increase, key=lambda head: found.increase[head])]
    assert choice.loss_before == pytest.approx(found.loss)
    assert choice.loss_after == pytest.approx(found.loss + found.increase[choice.heads[0]], abs=1e-6)
    three = choose_heads(bundle, pairs, count=3)
    second = measure_importance(bundle, pairs, masked=choice.heads)
    # In rounds of one head, the remaining heads are measured with the chosen ones masked.
    assert three.heads[:2] == [*choice.heads, min(second.increase, key=lambda head: second.increase[head])]
    assert three.loss_after == pytest.approx(loss_of(bundle, pairs, three.heads))


def test_one_head_stays_in_every_layer(bundle: Bundle) -> None:
    pairs = encode_pairs(bundle, SOURCES, TARGETS)
    choice = choose_heads(bundle, pairs, count=4, kinds=["cross"])
    assert all(head.kind == "cross" for head in choice.heads) and len(set(choice.heads)) == 4
    kept_heads(bundle.config.model, choice.heads)
    with pytest.raises(ConfigError, match="at most 4 of these 6"):
        choose_heads(bundle, pairs, count=5, kinds=["cross"])


@pytest.mark.parametrize(("budget", "expected"), [(0.0, 1), (0.009, 1), (0.011, 2), (0.061, 3), (0.5, 8), (100.0, 12)])
def test_a_budget_is_used_up_and_kept(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, budget: float, expected: int
) -> None:
    """Masking the n-th head costs n hundredths of a nat, whatever else is masked; heads of a layer are consecutive."""
    worth = {head: place / 100 for place, head in enumerate(model_heads(bundle.model))}

    def loss(bundle: Bundle, pairs: Any, masked: Sequence[Head] = ()) -> float:
        return 2.0 + sum(worth[head] for head in masked)

    def measure(bundle: Bundle, pairs: Any, heads: Sequence[Head], masked: Sequence[Head], **_: Any) -> Importance:
        return Importance(loss(bundle, pairs, masked), {head: worth[head] for head in heads})

    monkeypatch.setattr(module, "loss_of", loss)
    monkeypatch.setattr(module, "measure_importance", measure)
    choice = choose_heads(bundle, [], loss_budget=budget)
    # The third head of each layer is kept, so the costs are 0, 1, 3, 4, 6, 7, ... hundredths.
    free = [head for place, head in enumerate(worth) if place % 3 < 2]
    assert choice.heads == free[:expected]
    assert choice.loss_after == pytest.approx(2.0 + sum(worth[head] for head in free[:expected]))
    assert choice.loss_after - choice.loss_before <= budget


def test_a_head_that_another_stood_in_for_becomes_dear(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first two heads are redundant: removing either is free, and removing both costs a nat."""
    twins, other = {Head("encoder", 1, 1), Head("encoder", 1, 2)}, Head("decoder", 1, 1)

    def loss(bundle: Bundle, pairs: Any, masked: Sequence[Head] = ()) -> float:
        return 2.0 + sum(0.5 for head in masked if head not in twins | {other}) + (twins <= set(masked))

    def measure(bundle: Bundle, pairs: Any, heads: Sequence[Head], masked: Sequence[Head], **_: Any) -> Importance:
        before = loss(bundle, pairs, masked)
        return Importance(before, {head: loss(bundle, pairs, [*masked, head]) - before for head in heads})

    monkeypatch.setattr(module, "loss_of", loss)
    monkeypatch.setattr(module, "measure_importance", measure)
    assert choose_heads(bundle, [], count=2).heads == [Head("encoder", 1, 1), other]


def test_settings_say_which_heads_stay() -> None:
    settings = ModelSettings(encoder_layers=2, decoder_layers=1, num_heads=3)
    assert kept_heads(settings, [Head("encoder", 2, 2)]) == {("encoder", 2): [0, 2]}
