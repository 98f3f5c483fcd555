"""A process of a job that shares models in both ways; the main one saves what came out, for the test to judge.

RANK=... WORLD_SIZE=... MASTER_ADDR=... MASTER_PORT=... python ranks.py DIRECTORY
"""

import math
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from translator.attention import pack
from translator.checkpoints import load_weights
from translator.config import ModelSettings, TrainingSettings
from translator.data.batches import Batch
from translator.distributed.world import World, join_world
from translator.inference import InferenceModel
from translator.model import Transformer, build_model
from translator.training.loss import smoothed_cross_entropy
from translator.training.optimizer import make_optimizer, optimizer_tensors, restore_optimizer
from translator.training.parallel import Parallel, share_model

# Nothing divides by two and three alike, and the widths of the layers (16, 20) not by three at all.
SETTINGS = {
    "tied": ModelSettings(encoder_layers=2, decoder_layers=2, d_model=16, d_ff=20, num_heads=2, dropout=0.0),
    "untied": ModelSettings(
        encoder_layers=1, decoder_layers=2, d_model=16, d_ff=20, num_heads=2, dropout=0.0, norm="pre",
        tie_embeddings="none", positions="learned", max_positions=20,
    ),
}  # fmt: skip
TRAINING = TrainingSettings(learning_rate=0.01, adam_epsilon=1e-3, weight_decay=0.1)
ACCUMULATE = 2
CLIP = 0.5


def make_model(settings: ModelSettings, seed: int) -> Transformer:
    model = build_model(settings, 40, 40, seed)
    if settings.tie_embeddings == "none":
        # Weights that are not trained have no gradient anywhere.
        model.encoder_layers[0].feed_forward.requires_grad_(False)
    return model


def make_batches(count: int) -> list[Batch]:
    """Batches of one to four sentences of one to nine tokens."""
    import numpy as np

    random = np.random.default_rng(4)
    batches = []
    for _ in range(count):
        size = int(random.integers(1, 5))
        sides = [[random.integers(3, 40, random.integers(1, 10)).tolist() for _ in range(size)] for _ in range(2)]
        source = pack([[*sentence, 2] for sentence in sides[0]])
        target = pack([[1, *sentence] for sentence in sides[1]])
        labels = pack([[*sentence, 2] for sentence in sides[1]]).tokens
        batches.append(Batch(np.arange(size), source, target, labels))
    return batches


def backward(model: Transformer, batch: Batch, tokens: float, autocast: bool = False) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        states = model(batch.source, batch.target)
    loss = smoothed_cross_entropy(states.float(), model.output_weight, batch.labels, 0.1)
    (loss.objective / tokens).backward()
    return states.detach()


def sum_gradients(way: Parallel, batches: list[Batch], autocast: bool = False) -> bool:
    """Tell whether gradients were reduced before the last batch."""
    world, early = way.world, False
    [tokens] = world.sum([sum(batch.target_tokens for batch in batches)])
    for index, batch in enumerate(batches):
        early = any(isinstance(p.grad, DTensor) for p in way.model.parameters())
        way.begin_batch(last=index + 1 == len(batches))
        backward(way.model, batch, tokens, autocast)
    way.sum_gradients()
    return early


def step(way: Parallel, optimizer: torch.optim.Optimizer) -> Tensor:
    """What the training's update does after its gradients are summed."""
    norm = way.gradient_norm()
    torch.nn.utils.clip_grads_with_norm_(list(way.model.parameters()), CLIP, norm)
    optimizer.found_inf = torch.isfinite(norm).logical_not().float()  # type: ignore[attr-defined]
    optimizer.step()
    optimizer.zero_grad()
    return norm


def weights_of(way: Parallel) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in way.gather(dict(way.model.named_parameters())).items()}


def share(world: World, settings: ModelSettings, sharded: bool, directory: Path) -> dict[str, Any]:
    mine = make_batches(world.size * ACCUMULATE)[world.rank :: world.size]
    # Every process begins with other weights, so that it shows whose are used.
    way = share_model(make_model(settings, 1 + world.rank), world, torch.device("cpu"), sharded)
    way.model.train()
    optimizer = make_optimizer(way.model, TRAINING)
    found: dict[str, Any] = {"shards": world.gather(_numbers(way.model))}

    found["reduced early"] = sum_gradients(way, mine)
    found["gradients"] = way.gather({name: p.grad for name, p in way.model.named_parameters() if p.grad is not None})
    found["gradients"] = {name: gradient.clone() for name, gradient in found["gradients"].items()}
    found["norm"] = float(step(way, optimizer))
    found["weights"] = weights_of(way)

    if world.rank == 1:
        hook = way.model.encoder_layers[0].register_forward_hook(lambda *_: _[2] * math.nan)
    sum_gradients(way, mine)
    if world.rank == 1:
        hook.remove()
    found["bad norm"] = float(step(way, optimizer))
    found["after a bad step"] = weights_of(way)

    average = {name: (p.detach() * 0.5).clone() for name, p in way.model.named_parameters()}
    torch._foreach_lerp_(list(average.values()), list(way.model.parameters()), 0.5)
    batch = make_batches(1)[0]
    for name, weights in (("evaluated", None), ("evaluated average", average)):
        with way.evaluated(weights) as model, torch.inference_mode():
            # On one process only: nothing may wait for the others.
            if world.rank == world.size - 1:
                memory = model.encode(batch.source)
                output = model.decode(batch.target, memory, batch.source.layout)
                decoder = InferenceModel(model)
                state = decoder.start(memory, batch.source.layout, 1, 1)
                first = decoder.step(torch.ones(batch.source.layout.num_sentences, 1, dtype=torch.int64), state)
                torch.save([output, first], directory / name)
    found |= {
        name: torch.load(directory / name) for name in ("evaluated", "evaluated average") if not world.gather(0)[0]
    }
    found["after evaluation"] = weights_of(way)

    saved = (weights_of(way), way.gather(optimizer_tensors(way.model, optimizer)))
    if world.is_main:
        torch.save(saved, directory / "checkpoint")
    world.barrier()
    weights, state = torch.load(directory / "checkpoint")
    other = share_model(make_model(settings, 7), world, torch.device("cpu"), sharded)
    other_optimizer = make_optimizer(other.model, TRAINING)
    load_weights(other.model, other.shard(weights), "the checkpoint")
    restore_optimizer(other.model, other_optimizer, other.shard(state))
    found["loaded"] = weights_of(other)
    found["state"], found["loaded state"] = (
        {name: tensor.clone() for name, tensor in each.gather(optimizer_tensors(each.model, opt)).items()}
        for each, opt in ((way, optimizer), (other, other_optimizer))
    )
    for name, each, opt in (("went on", way, optimizer), ("resumed", other, other_optimizer)):
        each.model.train()
        sum_gradients(each, mine)
        step(each, opt)
        found[name] = weights_of(each)

    sum_gradients(way, mine, autocast=True)
    found["autocast norm"] = float(way.gradient_norm())
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    scaler.scale(torch.ones(()))
    if world.rank == 1 or not sharded:
        # In the shard of one process only, if there are shards.
        gradient = way.model.decoder_layers[0].feed_forward.inner.weight.grad
        getattr(gradient, "_local_tensor", gradient).view(-1)[0] = math.inf
    scaler.unscale_(optimizer)
    before = weights_of(way)
    scaler.step(optimizer)
    scaler.update()
    found["scale"] = world.gather(scaler.get_scale())
    found["overflow moved"] = not all(torch.equal(w, before[name]) for name, w in weights_of(way).items())
    return found


def _numbers(model: Transformer) -> int:
    """How many numbers of the weights this process holds."""
    return sum(getattr(p, "_local_tensor", p).numel() for p in model.parameters())


def main() -> None:
    directory = Path(sys.argv[1])
    torch.set_num_threads(1)
    with join_world() as world:
        found = {
            (name, sharded): share(world, settings, sharded, directory)
            for name, settings in SETTINGS.items()
            for sharded in (False, True)
        }
        if world.is_main:
            torch.save(found, directory / "found")


if __name__ == "__main__":
    main()
