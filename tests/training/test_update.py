"""One optimizer step: sums over tokens, accumulation, clipping, and gradients that are not finite."""

import copy
import math
from typing import Any

import pytest
import torch
from torch.nn import functional

from translator.attention import pack
from translator.config import ModelSettings, TrainingSettings
from translator.data.batches import Batch
from translator.model import Transformer, build_model
from translator.runtime.device import choose_machine
from translator.training.optimizer import make_optimizer, optimizer_tensors, restore_optimizer, set_learning_rate
from translator.training.schedule import learning_rate
from translator.training.state import TrainingState
from translator.training.update import Updater

PAIRS = [([5, 6, 7], [20, 21]), ([8], [22, 23, 24, 25]), ([9, 10], [26]), ([11, 12, 13, 14], [27, 28, 29])]


def batch_of(pairs: list[tuple[list[int], list[int]]]) -> Batch:
    import numpy as np

    source = pack([[*s, 2] for s, _ in pairs])
    target = pack([[1, *t] for _, t in pairs])
    return Batch(np.arange(len(pairs)), source, target, pack([[*t, 2] for _, t in pairs]).tokens)


def small_model() -> Transformer:
    settings = ModelSettings(encoder_layers=1, decoder_layers=1, d_model=16, d_ff=16, num_heads=2, dropout=0.0)
    return build_model(settings, 40, 40, seed=1)


def updater(model: Transformer, **settings: Any) -> Updater:
    training = TrainingSettings(learning_rate=0.01, **settings)
    machine = choose_machine("cpu", "fp32")
    return Updater(TrainingState.initial(model, training, machine), training, machine)


def test_a_step_is_that_of_a_plain_loop() -> None:
    model, plain = small_model(), small_model()
    # The bias of the keys has no gradient but rounding, which Adam would blow up with a tiny epsilon.
    sums = updater(model, adam_epsilon=1e-3)([batch_of(PAIRS)])
    optimizer = torch.optim.Adam(plain.parameters(), lr=0.01, betas=(0.9, 0.98), eps=1e-3)
    batch = batch_of(PAIRS)
    logits = plain.logits(plain(batch.source, batch.target))
    loss = functional.cross_entropy(logits, batch.labels, label_smoothing=0.1)
    loss.backward()
    norm = torch.nn.utils.get_total_norm([p.grad for p in plain.parameters() if p.grad is not None])
    optimizer.step()
    assert sums.target_tokens == 14
    torch.testing.assert_close(sums.smoothed / 14, loss.detach())
    torch.testing.assert_close(sums.gradient_norm, norm, rtol=1e-4, atol=1e-5)
    for mine, reference in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine, reference, atol=1e-5, rtol=1e-4)


def test_accumulated_batches_of_unequal_size_are_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    together, parts = small_model(), small_model()
    gradients: list[list[torch.Tensor]] = []
    for model, groups in ((together, [PAIRS]), (parts, [PAIRS[:1], PAIRS[1:]])):
        update = updater(model)
        kept: list[torch.Tensor] = []
        monkeypatch.setattr(
            update.state.optimizer, "step",
            lambda *_, model=model, kept=kept: kept.extend(p.grad.clone() for p in model.parameters()),
        )  # fmt: skip
        update([batch_of(group) for group in groups])
        gradients.append(kept)
    for mine, reference in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, reference, atol=1e-6, rtol=1e-5)


def test_r_drop_without_dropout_is_the_plain_step() -> None:
    plain, twice = small_model(), small_model()
    for model, r_drop in ((plain, 0.0), (twice, 5.0)):
        sums = updater(model, adam_epsilon=1e-3, r_drop=r_drop)([batch_of(PAIRS)])
        assert sums.target_tokens == 14
    for mine, reference in zip(twice.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine, reference, atol=1e-5, rtol=1e-4)


def test_what_is_frozen_stays_and_the_rest_learns() -> None:
    model = small_model()
    model.output_weight.requires_grad_(False)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    updater(model)([batch_of(PAIRS)])
    changed = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    assert before.keys() - changed == {"output_weight", *(n for n in before if n == "source_embedding.weight")}


def test_a_gradient_that_is_not_finite_never_reaches_the_weights() -> None:
    model = small_model()
    update = updater(model)
    update([batch_of(PAIRS)])
    weights = copy.deepcopy(model.state_dict())
    state = {name: value.clone() for name, value in optimizer_tensors(model, update.state.optimizer).items()}
    hook = model.encoder_layers[0].feed_forward.inner.register_forward_hook(lambda *_: _[2] * math.nan)
    assert update([batch_of(PAIRS)]).skipped.item() == 1.0
    hook.remove()
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    after = optimizer_tensors(model, update.state.optimizer)
    assert all(torch.equal(after[name], value) for name, value in state.items())
    assert update([batch_of(PAIRS)]).skipped.item() == 0.0
    assert not torch.equal(model.output_weight, weights["output_weight"])


def test_clipping_bounds_the_gradient() -> None:
    free, clipped = small_model(), small_model()
    norm = updater(free)([batch_of(PAIRS)]).gradient_norm
    update = updater(clipped, clip_norm=float(norm) / 4, adam_epsilon=1e3)
    before = clipped.output_weight.detach().clone()
    update([batch_of(PAIRS)])
    moved = (clipped.output_weight - before).norm()
    update = updater(small_model(), adam_epsilon=1e3)
    update([batch_of(PAIRS)])
    unclipped = (update.state.model.output_weight - before).norm()
    torch.testing.assert_close(moved * 4, unclipped, rtol=1e-3, atol=0.0)


def test_weight_decay_falls_on_matrices_only() -> None:
    model = small_model()
    optimizer = make_optimizer(model, TrainingSettings(learning_rate=0.1, weight_decay=0.5))
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in model.named_parameters():
        factor = 1 - 0.1 * 0.5 if parameter.ndim > 1 else 1.0
        torch.testing.assert_close(parameter.detach(), before[name] * factor)


def test_the_optimizer_comes_back_from_its_tensors() -> None:
    first, second = small_model(), small_model()
    update = updater(first)
    update([batch_of(PAIRS)])
    other = updater(second)
    second.load_state_dict(first.state_dict())
    tensors = {name: value.clone() for name, value in optimizer_tensors(first, update.state.optimizer).items()}
    restore_optimizer(second, other.state.optimizer, tensors)
    for each in (update, other):
        set_learning_rate(each.state.optimizer, 0.003)
        each([batch_of(PAIRS[:2])])
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_layers_can_pass_on_bf16_while_weights_and_gradients_are_fp32(norm: str) -> None:
    shape = ModelSettings(encoder_layers=2, decoder_layers=2, d_model=16, d_ff=16, num_heads=2, dropout=0.0, norm=norm)
    losses, saved = {}, {}
    for activations in ("fp32", "bf16"):
        model = build_model(shape, 40, 40, seed=1).train()
        training = TrainingSettings(activations=activations)
        machine = choose_machine("cpu", "bf16")
        update = Updater(TrainingState.initial(model, training, machine), training, machine)
        passed, kept = set(), {}
        outputs = [*model.encoder_layers, *model.decoder_layers, model.encoder_norm, model.decoder_norm]
        for layer in outputs:
            layer.register_forward_hook(lambda *call, passed=passed: passed.add(call[2].dtype))

        def keep(tensor: torch.Tensor, kept: dict[int, int] = kept) -> torch.Tensor:
            kept[tensor.untyped_storage()._cdata] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            sums = update([batch_of(PAIRS)])
        assert passed == {torch.float32 if activations == "fp32" else torch.bfloat16}
        assert {p.dtype for p in model.parameters()} == {torch.float32}
        assert {v.dtype for v in optimizer_tensors(model, update.state.optimizer).values()} == {torch.float32}
        losses[activations], saved[activations] = float(sums.smoothed) / 14, sum(kept.values())
        # Validation is not in training, and keeps its numbers.
        batch = batch_of(PAIRS)
        assert model.eval()(batch.source, batch.target).dtype == torch.float32
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=1e-2)
    assert saved["bf16"] < saved["fp32"]


@pytest.mark.parametrize(("precision", "expected"), [("fp32", None), ("bf16", torch.bfloat16)])
def test_by_default_layers_on_the_cpu_pass_on_what_they_multiply(precision: str, expected: torch.dtype | None) -> None:
    model = build_model(ModelSettings(encoder_layers=1, decoder_layers=1, d_model=8, d_ff=8, num_heads=1), 40, 40, 1)
    TrainingState.initial(model, TrainingSettings(), choose_machine("cpu", precision))
    assert model.activation_dtype == expected


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("inverse_sqrt", {1: 0.1, 10: 1.0, 40: 0.5, 100: math.sqrt(0.1)}),
        ("cosine", {5: 0.5, 10: 1.0, 55: 0.5, 100: 0.0}),
        ("linear", {10: 1.0, 55: 0.5, 100: 0.0}),
        ("constant", {10: 1.0, 100: 1.0}),
    ],
)
def test_learning_rates(schedule: str, expected: dict[int, float]) -> None:
    settings = TrainingSettings(learning_rate=1.0, warmup_steps=10, max_steps=100, schedule=schedule)
    for step, rate in expected.items():
        assert learning_rate(settings, step, 512) == pytest.approx(rate, abs=1e-9)


def test_noam_is_the_formula_of_the_paper() -> None:
    settings = TrainingSettings(schedule="noam", warmup_steps=4000, learning_rate=123.0, max_steps=100_000)
    for step in (1, 100, 4000, 4001, 50_000):
        expected = 512**-0.5 * min(step**-0.5, step * 4000**-1.5)
        assert learning_rate(settings, step, 512) == pytest.approx(expected)


def test_warmup_stable_decay_rests_in_the_last_fifth_or_as_told() -> None:
    settings = TrainingSettings(schedule="warmup_stable_decay", learning_rate=1.0, warmup_steps=10, max_steps=1000)
    rates = [learning_rate(settings, step, 512) for step in (5, 10, 500, 800, 900, 1000)]
    assert rates == pytest.approx([0.5, 1.0, 1.0, 1.0, 101 / 201, 1 / 201])
    told = settings.model_copy(update={"decay_steps": 99})
    assert [learning_rate(told, step, 512) for step in (900, 951)] == pytest.approx([1.0, 0.5])


def test_without_warm_up_the_first_step_has_the_peak() -> None:
    settings = TrainingSettings(learning_rate=1.0, warmup_steps=0, max_steps=100)
    assert learning_rate(settings, 1, 512) == 1.0


def test_the_decay_brings_any_schedule_to_rest() -> None:
    settings = TrainingSettings(learning_rate=1.0, warmup_steps=10, max_steps=100, decay_steps=19)
    plain = settings.model_copy(update={"decay_steps": 0})
    assert learning_rate(settings, 80, 512) == pytest.approx(learning_rate(plain, 80, 512))
    assert learning_rate(settings, 91, 512) == pytest.approx(learning_rate(plain, 91, 512) * 10 / 20)
    assert learning_rate(settings, 100, 512) == pytest.approx(learning_rate(plain, 100, 512) / 20)
