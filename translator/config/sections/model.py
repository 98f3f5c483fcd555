"""`model`: the Transformer's shape."""

from typing import Annotated, Literal

from pydantic import Field

from translator.config.setting_types import FewCount, Fraction, HeadCounts, Pieces, PositiveFloat, Settings, Width
from translator.config.units import WRITTEN


class ModelSettings(Settings):
    """The Transformer's shape."""

    encoder_layers: FewCount = 6
    """Number of encoder layers."""
    decoder_layers: FewCount = 6
    """Number of decoder layers."""
    d_model: Width = 512
    """Width of the residual stream."""
    d_ff: Annotated[int, Field(ge=1, le=2**18), WRITTEN] = 2048
    """Inner width of the feed-forward blocks."""
    num_heads: FewCount = 8
    """Attention heads of every attention block."""
    head_dim: Width | None = None
    """Width of a head; by default d_model / num_heads."""
    encoder_heads: HeadCounts | None = None
    """Heads of the encoder's self-attention in every layer, such as [4, 2]; by default num_heads in each. Pruning
    leaves layers with different numbers of heads."""
    decoder_heads: HeadCounts | None = None
    """As `encoder_heads`, for the decoder's masked self-attention."""
    cross_heads: HeadCounts | None = None
    """As `encoder_heads`, for the decoder's cross-attention."""
    norm: Literal["post", "pre"] = "post"
    """Layer normalisation after each residual sum (the paper) or before each block."""
    norm_epsilon: PositiveFloat = 1e-5
    """Added to the variance in layer normalisation."""
    activation: Literal["relu", "gelu", "swish"] = "relu"
    """Non-linearity of the feed-forward blocks."""
    decoder_cell: Literal["attention", "ssru"] = "attention"
    """What a decoder layer looks at its past with: masked self-attention (the paper), or the Simpler Simple Recurrent
    Unit (Kim et al. 2019), whose step takes the same time however long the past is. Only the native engine decodes
    `ssru`."""
    positions: Literal["sinusoidal", "marian", "learned"] = "sinusoidal"
    """How positions enter the embeddings. `marian` has the sinusoids of Marian, whose wavelengths differ a little."""
    max_positions: Pieces = 1024
    """Longest sequence of the model, in pieces, with the end of sentence."""
    tie_embeddings: Literal["all", "decoder", "none"] = "all"
    """Which of source embedding, target embedding and output projection share one matrix (`decoder`: the
    last two)."""
    output_bias: bool = False
    """Add a trained bias to the logits."""
    dropout: Fraction = 0.1
    """Dropout on embeddings and on the output of every block."""
    attention_dropout: Fraction = 0.0
    """Dropout on attention weights."""
    activation_dropout: Fraction = 0.0
    """Dropout inside the feed-forward blocks."""
    word_dropout: Fraction = 0.0
    """Share of the input tokens whose embedding is zeroed as a whole in training, on both sides."""

    def heads(self, kind: str) -> list[int]:
        """Return the number of heads in every layer, for a kind of `translator.config.KINDS`."""
        stated = {"encoder": self.encoder_heads, "decoder": self.decoder_heads, "cross": self.cross_heads}[kind]
        return list(stated) if stated is not None else [self.num_heads] * self.attention_layers(kind)

    def attention_layers(self, kind: str) -> int:
        """Return the number of layers with attention of a kind of `translator.config.KINDS`."""
        if kind == "decoder" and self.decoder_cell != "attention":
            return 0
        return self.encoder_layers if kind == "encoder" else self.decoder_layers

    @property
    def width_of_head(self) -> int:
        """`head_dim`, or its default."""
        return self.head_dim or self.d_model // self.num_heads
