"""The parts of our model and what `transformers` calls them in its Marian and Pegasus models, for both directions.

Both libraries' layers have the same parts; only attention keeps its projections in another form (`weights.py`).
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from translator.config import ModelSettings

ATTENTIONS = {"self_attention": "self_attn", "cross_attention": "encoder_attn"}
NORMS = {
    "self_residual.norm": "self_attn_layer_norm",
    "cross_residual.norm": "encoder_attn_layer_norm",
    "feed_forward_residual.norm": "final_layer_norm",
}
FEED_FORWARD = {"feed_forward.inner": "fc1", "feed_forward.outer": "fc2"}
STACK_NORMS = {"encoder_norm": "model.encoder.layer_norm", "decoder_norm": "model.decoder.layer_norm"}
"""The last norm of each stack of a pre-norm model."""
POSITIONS = {
    "source_embedding.positions.table": "model.encoder.embed_positions.weight",
    "target_embedding.positions.table": "model.decoder.embed_positions.weight",
}

Kind = Literal["attention", "norm", "inner", "outer"]


class Part(NamedTuple):
    """One part of a layer or stack: what it is, and the beginning of its tensors' names."""

    kind: Kind
    ours: str
    theirs: str


def parts(settings: ModelSettings) -> Iterator[Part]:
    """Yield every part of the model except embeddings, output projection and positions."""
    for stack, count in (("encoder", settings.encoder_layers), ("decoder", settings.decoder_layers)):
        for layer in range(count):
            yield from _layer(f"{stack}_layers.{layer}.", f"model.{stack}.layers.{layer}.", stack == "decoder")
    if settings.norm == "pre":
        yield from (Part("norm", ours, theirs) for ours, theirs in STACK_NORMS.items())


def _layer(ours: str, theirs: str, has_cross_attention: bool) -> Iterator[Part]:
    kinds: tuple[tuple[Kind, dict[str, str]], ...] = (
        ("attention", ATTENTIONS),
        ("norm", NORMS),
        ("inner", {"feed_forward.inner": FEED_FORWARD["feed_forward.inner"]}),
        ("outer", {"feed_forward.outer": FEED_FORWARD["feed_forward.outer"]}),
    )
    for kind, names in kinds:
        for name, other in names.items():
            if has_cross_attention or not name.startswith("cross_"):
                yield Part(kind, ours + name, theirs + other)
