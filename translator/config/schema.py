"""Every setting of a run, with its type, default and meaning; this file is the manual of `CONFIG.yaml`.

Defaults live here and in `presets.py` (which replaces some by corpus size); YAML files state differences only.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from translator.config.units import Count, Duration

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
PositiveCount = Annotated[Count, Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
CorpusPath = str | Annotated[list[str], Field(min_length=2, max_length=2)]


class Settings(BaseModel):
    """A group of settings: immutable, and without room for a name that does not exist."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, use_attribute_docstrings=True)


class DataSettings(Settings):
    """Parallel text and what is kept of it.

    A corpus is one of: a pattern with both languages, `corpus/train.{en,de}` (also `.gz`); a list of two
    files; one file with both sides, `.tsv`, `.csv`, `.jsonl` or `.parquet` (also `.gz` for the first three);
    or `hub:NAME[:SPLIT]`, a set on the Hugging Face hub.
    """

    train: CorpusPath | None = None
    """Training corpus."""
    valid: CorpusPath | None = None
    """Validation corpus, for choosing checkpoints. Without one, the last pairs of train are held out."""
    test: CorpusPath | None = None
    """Test corpus; its sentences are kept out of train, and nothing else is done with it."""
    source_language: str | None = None
    """Language code or column name of the source side; taken from a `{en,de}` pattern where there is one."""
    target_language: str | None = None
    """Language code or column name of the target side."""
    prepared: str | None = None
    """Directory of the prepared data; by default `prepared` in the run directory. Share it between runs."""
    max_length: PositiveCount = 256
    """Longest side of a training pair, in pieces; longer pairs are dropped and counted."""
    max_length_ratio: Annotated[float, Field(ge=1.0, allow_inf_nan=False)] = 4.0
    """Largest ratio between the sides of a training pair, in pieces; sides of up to 10 pieces are spared."""
    drop_duplicates: bool = True
    """Drop exact repetitions of a training pair."""
    drop_leaks: bool = True
    """Drop training pairs whose source or target stands in valid or test."""
    held_out: PositiveCount = 1000
    """Pairs held out of train for validation where no valid corpus is given; at most a tenth of train."""


class TokenizerSettings(Settings):
    """The SentencePiece model, which is also the vocabulary."""

    model: str | None = None
    """An existing (joint) SentencePiece model file to use instead of training one."""
    type: Literal["bpe", "unigram"] = "bpe"
    """How pieces are found."""
    vocab_size: Annotated[Count, Field(ge=300)] = 8000
    """Number of pieces; lowered with a message where the text has too few."""
    joint: bool = True
    """One model over both languages; otherwise one for each side."""
    character_coverage: Annotated[float, Field(gt=0.9, le=1.0)] = 1.0
    """Share of the characters that get a piece of their own; the rest is spelt in bytes."""
    byte_fallback: bool = True
    """Spell unknown characters in UTF-8 bytes, so that no text is unknown."""
    normalization: Literal["nfkc", "nmt_nfkc", "nfkc_cf", "identity"] = "nfkc"
    """Unicode normalisation before the pieces (SentencePiece's rule names; `nfkc_cf` also lower-cases)."""
    sample_size: PositiveCount = 1_000_000
    """Lines that the training of the tokenizer reads at most, drawn evenly over the corpus."""


class ModelSettings(Settings):
    """The Transformer's shape."""

    encoder_layers: PositiveCount = 6
    """Number of encoder layers."""
    decoder_layers: PositiveCount = 6
    """Number of decoder layers."""
    d_model: PositiveCount = 512
    """Width of the residual stream."""
    d_ff: PositiveCount = 2048
    """Inner width of the feed-forward blocks."""
    num_heads: PositiveCount = 8
    """Attention heads of every attention block."""
    head_dim: PositiveCount | None = None
    """Width of a head; by default d_model / num_heads."""
    norm: Literal["post", "pre"] = "post"
    """Layer normalisation after each residual sum (the paper) or before each block."""
    activation: Literal["relu", "gelu"] = "relu"
    """Non-linearity of the feed-forward blocks."""
    positions: Literal["sinusoidal", "learned"] = "sinusoidal"
    """How positions enter the embeddings."""
    max_positions: PositiveCount = 1024
    """Longest sequence of the model, in pieces, the end mark included."""
    tie_embeddings: Literal["all", "decoder", "none"] = "all"
    """Which of source embedding, target embedding and output projection share one matrix (`decoder`: the
    last two)."""
    dropout: Fraction = 0.1
    """Dropout on embeddings and on the output of every block."""
    attention_dropout: Fraction = 0.0
    """Dropout on attention weights."""
    activation_dropout: Fraction = 0.0
    """Dropout inside the feed-forward blocks."""


class TrainingSettings(Settings):
    """Optimisation, validation and what is kept."""

    max_steps: PositiveCount = 100_000
    """Optimizer steps of the whole run, counted from its beginning."""
    max_epochs: PositiveCount | None = None
    """Passes over the training data after which training ends, if that comes before `max_steps`."""
    batch_tokens: PositiveCount = 4096
    """Target tokens of a batch, end marks included."""
    accumulate: PositiveCount = 1
    """Batches whose gradients are summed for one optimizer step."""
    order: Literal["bucketed", "random"] = "bucketed"
    """Whether batches group sentences of like length (faster on the CPU) or are random samples."""
    label_smoothing: Fraction = 0.1
    """Share of the target probability that is spread evenly over the vocabulary."""
    learning_rate: PositiveFloat = 5e-4
    """Peak learning rate of Adam."""
    schedule: Literal["inverse_sqrt", "cosine", "linear", "constant"] = "inverse_sqrt"
    """Learning rate after the warm-up."""
    warmup_steps: Annotated[Count, Field(ge=0)] = 4000
    """Steps over which the learning rate rises linearly."""
    decay_steps: Annotated[Count, Field(ge=0)] = 0
    """Steps before `max_steps` over which the learning rate is brought down to zero, whatever the schedule."""
    adam_betas: tuple[Fraction, Fraction] = (0.9, 0.98)
    """Decay of Adam's running averages."""
    adam_epsilon: PositiveFloat = 1e-9
    """Adam's epsilon."""
    weight_decay: NonNegativeFloat = 0.0
    """Decoupled weight decay, on matrices only."""
    clip_norm: NonNegativeFloat = 0.0
    """Largest gradient norm; 0 does not clip."""
    validate_every: Duration = Duration(1, "epochs")
    """Between two validations (loss, and BLEU by decoding); a checkpoint is saved with each."""
    validation_sentences: PositiveCount = 1000
    """Sentences decoded for BLEU at a validation; the loss is always over all of them."""
    validation_beam_size: PositiveCount = 1
    """Beam of the decoding at a validation; 1 is greedy."""
    validation_tokenizer: Literal["13a", "none", "intl", "char", "zh"] = "13a"
    """sacreBLEU's tokenizer for BLEU at a validation; `none` for text that is already tokenised."""
    validation_samples: Annotated[Count, Field(ge=0)] = 3
    """Translations printed at a validation."""
    best_metric: Literal["bleu", "loss"] = "bleu"
    """What makes a checkpoint the best, and what early stopping watches."""
    patience: PositiveCount | None = None
    """Validations without a new best after which training stops."""
    keep_last: PositiveCount = 5
    """Newest checkpoints kept."""
    keep_best: PositiveCount = 1
    """Best checkpoints kept besides."""
    average_last: PositiveCount = 5
    """Newest checkpoints whose weights are averaged at the end; 1 does not average."""
    log_every: PositiveCount = 50
    """Steps between two lines of metrics."""


class DecodingSettings(Settings):
    """Search for the best translation."""

    beam_size: PositiveCount = 5
    """Hypotheses kept for each sentence; 1 is greedy."""
    length_penalty: Literal["gnmt", "mean"] = "gnmt"
    """Divisor of a hypothesis's log-probability: gnmt ((5 + n) / 6) ** alpha, mean n ** alpha."""
    length_alpha: NonNegativeFloat = 0.6
    """Exponent of the length penalty; 0 turns it off."""
    max_length_factor: NonNegativeFloat = 1.0
    """A translation has at most factor * source pieces + `max_length_extra` pieces."""
    max_length_extra: Annotated[Count, Field(ge=1)] = 50
    """See `max_length_factor`."""
    batch_tokens: PositiveCount = 4096
    """Source tokens of a batch, times the beam, that are decoded together."""


class Config(Settings):
    """Everything that a run is made from."""

    run: str | None = None
    """Run directory; by default `runs/` and the name of the configuration file."""
    preset: Literal["auto", "tiny", "small", "base", "big"] = "auto"
    """Defaults of model, tokenizer and training by size; `auto` chooses by the number of training pairs."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 1
    """Seed of initialisation, data order and dropout."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute; `auto` takes CUDA where it is."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Number format of matrix products; `auto` is bf16 where the device does it well, else fp32."""
    compile: bool | None = None
    """Compile the model with `torch.compile` on batches of one shape (needs training.order: random); by default
    on CUDA."""
    threads: PositiveCount | None = None
    """CPU threads; by default all cores."""
    data: DataSettings = DataSettings()
    tokenizer: TokenizerSettings = TokenizerSettings()
    model: ModelSettings = ModelSettings()
    training: TrainingSettings = TrainingSettings()
    decoding: DecodingSettings = DecodingSettings()
