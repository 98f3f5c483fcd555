"""Every setting of a run with its type, default and meaning: this file is the manual of `CONFIG.yaml`.

Defaults live here and in `presets.py` (which replaces some by corpus size); YAML files state only what differs.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

from translator.config.units import WRITTEN, Duration
from translator.runtime.device_names import problem_with_device

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
# Every number has an upper bound: far above what anybody trains or translates with, and below what overflows, asks the
# system for a million threads or fills the memory with a single sentence. A received run has settings, too.
PositiveCount = Annotated[int, Field(ge=1, le=10**9), WRITTEN]
NonNegativeCount = Annotated[int, Field(ge=0, le=10**9), WRITTEN]
FewCount = Annotated[int, Field(ge=1, le=1000), WRITTEN]
Width = Annotated[int, Field(ge=1, le=2**16), WRITTEN]
Pieces = Annotated[int, Field(ge=1, le=100_000), WRITTEN]
Tokens = Annotated[int, Field(ge=1, le=10**7), WRITTEN]
PositiveFloat = Annotated[float, Field(gt=0.0, le=1e6, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0.0, le=1e6, allow_inf_nan=False)]
Nats = Annotated[float, Field(ge=0.0, le=1000.0, allow_inf_nan=False)]
CountOrAuto = Annotated[
    Annotated[Tokens, Tag("count")] | Annotated[Literal["auto"], Tag("auto")],
    # Told apart before validation, so that a mistake is reported once and not for every kind.
    Discriminator(lambda value: "auto" if value == "auto" else "count"),
]
LengthOrAuto = Annotated[
    Annotated[int, Field(ge=0, le=1_000_000), WRITTEN, Tag("count")] | Annotated[Literal["auto"], Tag("auto")],
    Discriminator(lambda value: "auto" if value == "auto" else "count"),
]
DurationOrAuto = Annotated[
    Annotated[Duration, Tag("duration")] | Annotated[Literal["auto"], Tag("auto")],
    Discriminator(lambda value: "auto" if value == "auto" else "duration"),
]
HeadCounts = Annotated[list[FewCount], Field(max_length=1000)]
FilePair = Annotated[list[str], Field(min_length=2, max_length=2)]


class Settings(BaseModel):
    """A group of settings: immutable, and unknown names are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, use_attribute_docstrings=True)


def _kind_of_corpora(value: Any) -> str:
    if isinstance(value, str):
        return "path"
    return "files" if isinstance(value, list) and all(isinstance(item, str) for item in value) else "entries"


OneCorpus = Annotated[Annotated[str, Tag("path")] | Annotated[FilePair, Tag("files")], Discriminator(_kind_of_corpora)]


OneOrTwoFiles = Annotated[
    Annotated[str, Tag("one")] | Annotated[FilePair, Tag("two")],
    Discriminator(lambda value: "two" if isinstance(value, list) else "one"),
]


def _separator(value: str) -> str:
    if value in ("tab", "comma", "semicolon", "pipe") or (len(value) == 1 and value not in '"\r\n'):
        return value
    raise ValueError("expected one character, or tab, comma, semicolon or pipe")


Separator = Annotated[str, AfterValidator(_separator)]
Symbol = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\s\u2581]+$")]
Normalization = Literal["nfc", "identity", "nfkc", "nmt_nfkc", "nfkc_cf", "table"]


class CorpusEntry(Settings):
    """One corpus of several: an item of the list in `data.train`, `data.valid` or `data.test`."""

    path: OneCorpus
    """The corpus: a pattern, a list of two files, a table, or a dataset on the hub."""
    weight: PositiveFloat | None = None
    """Share of this corpus in an epoch of training, relative to the weights of the others; without weights the
    shares follow from the sizes (see `data.temperature`)."""
    source_language: str | None = None
    """As in `data`, for this corpus; by default the language in the pattern, else the setting in `data`."""
    target_language: str | None = None
    """As `source_language`."""
    scores: str | None = None
    """File with a number on each line, the score of each pair of this training corpus, for `data.min_score`."""
    score_column: str | None = None
    """The same as a column of a `.tsv` or `.csv` file, by its name in the header line."""


Corpora = Annotated[
    Annotated[str, Tag("path")]
    | Annotated[FilePair, Tag("files")]
    | Annotated[list[CorpusEntry], Field(min_length=1), Tag("entries")],
    Discriminator(_kind_of_corpora),
]


class DataSettings(Settings):
    """Parallel text, and what is kept of it.

    A corpus is one of: a pattern with both languages, `corpus/train.{en,de}`; a list of two files; one file with
    both sides, `.tsv`, `.csv`, `.jsonl`, `.parquet`, `.tmx`, `.xlf` or `.zip` (with a text for each side); a
    directory that `translator synthesize` wrote; `hub:NAME[:SPLIT]`, a dataset on the Hugging Face hub; or
    `mtdata:NAME`, a set of OPUS or others. Text may be compressed (`.gz`, `.bz2`, `.xz`, `.zst`).
    Several corpora are a list of entries, each `{path: CORPUS}`, optionally with `weight`, `source_language` and
    `target_language`; an epoch has as many pairs as all of them together.
    """

    train: Corpora | None = None
    """Training corpus, or a list of entries."""
    valid: Corpora | None = None
    """Validation corpus, or a list of entries, for choosing checkpoints. Without one, the last pairs of every
    training corpus are held out, in proportion to its size."""
    test: Corpora | None = None
    """Test corpus, or a list of entries; its sentences are removed from train, and it is used for nothing else."""
    temperature: Annotated[float, Field(ge=1.0, le=100.0)] = 1.0
    """Evens out training corpora of unequal size: shares in an epoch are proportional to size ** (1 / temperature).
    1 takes every pair once; 5 is usual for many languages. Cannot be combined with weights."""
    language_tags: bool = False
    """Put a tag for the target language (`<2de>`) before every source sentence, for a model with several target
    languages. Each corpus states its languages, and `translate` needs `--to LANGUAGE`."""
    source_language: str | None = None
    """Language code or column name of the source side; taken from a `{en,de}` pattern if there is one. If the
    pattern has the two in the other order, the sides are swapped, except in a list of entries or with language
    tags."""
    target_language: str | None = None
    """Language code or column name of the target side."""
    separator: Separator | None = None
    """What separates the columns of `.tsv` and `.csv` files: a character, or `tab`, `comma`, `semicolon` or `pipe`. By
    default a tab in `.tsv`, and in `.csv` what the first lines have."""
    quotes: bool | None = None
    """Whether `"` encloses fields of `.tsv` and `.csv` files; by default in `.csv` alone."""
    header: bool | None = None
    """Whether the first line of `.tsv` and `.csv` files names the columns; by default if it has the names that are
    looked for, or two languages (`en`, `English`)."""
    prepared: str | None = None
    """Directory of the prepared data; by default `prepared` in the run directory. Share it between runs."""
    max_length: Pieces = 256
    """Longest side of a training pair, in pieces; longer pairs are dropped and counted."""
    max_length_ratio: Annotated[float, Field(ge=1.0, le=1e6, allow_inf_nan=False)] = 4.0
    """Largest ratio between the sides of a training pair, in pieces; pairs with sides of up to 10 pieces are kept."""
    drop_duplicates: bool = True
    """Drop exact repetitions of a training pair."""
    drop_leaks: bool = True
    """Drop training pairs whose source or target is also in valid or test."""
    drop_near_duplicates: bool = False
    """Drop training pairs that have about 80 % of their sequences of five characters in common with an earlier one
    (MinHash)."""
    drop_mojibake: bool = True
    """Drop training pairs with text that was decoded with the wrong encoding (`KÃ¶ln`) or lost characters (U+FFFD)."""
    drop_identical: bool = False
    """Drop training pairs with the same text on both sides, whatever its case."""
    drop_different_numbers: bool = False
    """Drop training pairs if a number of two or more digits is on one side only."""
    drop_different_addresses: bool = False
    """Drop training pairs whose sides have different web or e-mail addresses."""
    drop_unbalanced: bool = False
    """Drop training pairs if brackets or double quotation marks are closed on one side and not on the other."""
    drop_other_languages: bool = False
    """Drop training pairs with a side that py3langid (`pip install py3langid`) finds to be in another language."""
    max_characters: PositiveCount | None = None
    """Longest side of a training pair, in characters."""
    min_letter_share: Fraction = 0.0
    """Smallest share of letters on a side of a training pair, among all characters but white space."""
    min_script_share: Fraction = 0.0
    """Smallest share of letters in the script of the language of a side (Cyrillic for `ru`, Latin for `sr-Latn`)."""
    min_score: Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)] | None = None
    """Smallest score of a training pair, such as one of Bicleaner or LASER. The entry of a corpus says where its scores
    are (`scores` or `score_column`); corpora without scores are kept."""
    workers: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Processes that clean and encode text; by default one for each core, at most 8. The result is the same with any
    number."""
    held_out: PositiveCount = 1000
    """Pairs held out of train for validation if there is no valid corpus, over all corpora together; at most a
    tenth of train."""


class TokenizerSettings(Settings):
    """The SentencePiece model, which is also the vocabulary."""

    model: OneOrTwoFiles | None = None
    """An existing SentencePiece model file to use for both sides instead of training one, or a list of two, for source
    and target. It needs `</s>`; without `<s>` the decoder begins with a vector of zeros. If a file next to it has the
    same name with `.vocabulary.json` for its last suffix, the ids of the pieces are those of that file."""
    type: Literal["bpe", "unigram"] = "bpe"
    """How pieces are found."""
    vocab_size: Annotated[int, Field(ge=300, le=10**6), WRITTEN] = 8000
    """Number of pieces; lowered, with a message, if the text has too few."""
    joint: bool = True
    """One model over both languages; otherwise one for each side."""
    character_coverage: Annotated[float, Field(gt=0.9, le=1.0)] = 1.0
    """Share of the characters in the text that get a piece of their own; the others are spelled in bytes."""
    byte_fallback: bool = True
    """Spell unknown characters in UTF-8 bytes, so that every text can be encoded."""
    normalization: Normalization = "nfc"
    """What is done to characters before a text is split. `nfc` and `identity` change nothing that a reader can see.
    SentencePiece's `nfkc`, `nmt_nfkc` and `nfkc_cf` do (`²` becomes `2`; `nfkc_cf` also lower-cases), and the model can
    then not write what they take away. `table` stands for `normalization_table`."""
    source_normalization: Normalization | None = None
    """The same for the source alone, such as `nfkc`; by default as `normalization`. With a joint vocabulary there are
    then two model files with the same pieces."""
    normalization_table: str | None = None
    """File of the rules that `table` stands for (SentencePiece's `normalization_rule_tsv`): lines such as
    `FB01<TAB>66 69`, code points in hexadecimal."""
    user_defined_symbols: Annotated[list[Symbol], Field(max_length=10_000)] = []
    """Text that is always one piece, never split and never changed, such as [<ph1>, "{name}"]."""
    split_digits: bool = False
    """Give every digit a piece of its own."""
    sample_size: PositiveCount = 1_000_000
    """Most lines that the tokenizer is trained on, drawn evenly over the corpus."""
    extend: Annotated[int, Field(ge=0, le=10**6), WRITTEN] = 0
    """With `start_from`: pieces to add to the vocabulary of that run, for a new script or language. They are those that
    shorten the new text most; their vectors begin as the mean of those of their old pieces. With `data.language_tags`,
    the tags of new target languages are added, too."""


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


class Stage(Settings):
    """One stage of a training on several corpora: an item of the list in `training.stages`."""

    weights: Annotated[list[NonNegativeFloat], Field(min_length=2, max_length=1000)]
    """Share of every corpus of `data.train` in an epoch of this stage, in their order; 0 leaves a corpus out."""
    until: Duration | None = None
    """Step or number of epochs of the run, such as 20k or 3epoch, at which the next stage begins; the last has none."""


class TrainingSettings(Settings):
    """Optimisation, validation and what is kept."""

    max_steps: PositiveCount = 100_000
    """Optimizer steps of the whole run, counted from its beginning."""
    max_epochs: PositiveCount | None = None
    """Passes over the training data after which training ends, if that comes before `max_steps`."""
    batch_tokens: CountOrAuto = 4096
    """Target tokens of a batch, ends of sentences included. `auto` measures before training how many fit into the
    memory of the device, up to 32k, and keeps the number for the run."""
    accumulate: FewCount = 1
    """Batches, on each device, whose gradients are summed for one optimizer step."""
    order: Literal["auto", "bucketed", "random"] = "auto"
    """Whether batches group sentences of similar length (faster on the CPU) or are random samples, which can have one
    shape (faster on a GPU, compiled). `auto` is random where the model is compiled, and is kept for the run."""
    label_smoothing: Fraction = 0.1
    """Share of the target probability that is spread evenly over the vocabulary."""
    learning_rate: PositiveFloat = 5e-4
    """Peak learning rate of Adam."""
    schedule: Literal["inverse_sqrt", "noam", "cosine", "linear", "constant", "warmup_stable_decay"] = "inverse_sqrt"
    """Learning rate after the warm-up. `noam` is the paper's formula, whose peak follows from d_model and
    `warmup_steps` and not from `learning_rate`; `warmup_stable_decay` stays at the peak and falls to zero over
    `decay_steps`, or over the last fifth of the run if that is 0."""
    warmup_steps: NonNegativeCount = 4000
    """Steps over which the learning rate rises linearly."""
    decay_steps: NonNegativeCount = 0
    """Steps before `max_steps` over which the learning rate is brought down to zero, whatever the schedule."""
    adam_betas: tuple[Fraction, Fraction] = (0.9, 0.98)
    """Decay of Adam's running averages."""
    adam_epsilon: PositiveFloat = 1e-9
    """Adam's epsilon."""
    weight_decay: NonNegativeFloat = 0.0
    """Decoupled weight decay, on matrices only."""
    clip_norm: NonNegativeFloat = 0.0
    """Largest gradient norm; 0 does not clip."""
    ema_decay: Fraction = 0.0
    """Decay per step of an exponential moving average of the weights, such as 0.999; 0 keeps none. The average, if
    there is one, is validated, saved as the model and used by later commands."""
    r_drop: Nats = 0.0
    """Weight of R-Drop (Liang et al. 2021), such as 5: every batch is computed twice with different dropout, and the
    divergence of the two distributions is added to the loss. A step takes twice the time; 0 turns it off."""
    subword_sampling: Fraction = 0.0
    """Segment the training text differently each time (needs the text in the prepared data): the probability with which
    `bpe` leaves out a merge (BPE-dropout, such as 0.1), or the `alpha` of sampling `unigram` pieces. 0 turns it off."""
    stages: list[Stage] = []
    """Stages with weights of their own for the corpora of `data.train`, such as first mostly back-translated text and
    then clean text: `[{weights: [1, 3], until: 20k}, {weights: [1, 0]}]`. Each begins with a new epoch."""
    freeze: list[str] = []
    """Patterns of parameter names that are not trained, such as `encoder_layers.*` or `*embedding*`."""
    validate_every: DurationOrAuto = "auto"
    """Between two validations (loss, and BLEU by decoding); a checkpoint is saved with each. `auto` is an epoch, or as
    many as take 50 steps."""
    validation_sentences: PositiveCount = 1000
    """Sentences decoded for BLEU at a validation; the loss is always over the whole validation set."""
    validation_beam_size: FewCount = 1
    """Beam of the decoding at a validation; 1 is greedy. Of `decoding`, validation takes only the length penalty, the
    upper limit of the length, and `batch_tokens`."""
    validation_tokenizer: Literal[
        "auto", "13a", "none", "zh", "ja-mecab", "ko-mecab", "char", "intl", "flores200", "flores101", "spm"
    ] = "auto"
    """sacreBLEU's tokenizer for BLEU at a validation; `auto` suits the target language and what its text looks like,
    `none` is for text that is already tokenised."""
    validation_samples: Annotated[int, Field(ge=0, le=1000), WRITTEN] = 3
    """Translations printed at a validation."""
    best_metric: Literal["bleu", "chrf", "loss"] = "bleu"
    """What makes a checkpoint the best, and what early stopping watches. Of equals in BLEU (all chance matches, such as
    those below 1, are equal) the better chrF decides (all below 20 are equal), then the lower loss."""
    patience: PositiveCount | None = None
    """Validations without a new best after which training stops."""
    keep_last: FewCount = 5
    """Newest checkpoints kept."""
    keep_best: FewCount = 1
    """Best checkpoints kept in addition."""
    keep_every: PositiveCount | None = None
    """Checkpoints at multiples of this many steps are kept in addition: what `translator heads --checkpoints` draws."""
    average_last: FewCount = 5
    """Newest checkpoints whose weights are averaged at the end; 1 does not average."""
    average_best: FewCount = 1
    """Best checkpoints whose weights are averaged at the end; 1 does not average. Whichever of the averages
    and the last checkpoint validates best becomes the model."""
    max_skipped: PositiveCount = 10
    """Steps in a row with a gradient that is not finite after which training goes back to the last checkpoint,
    with half the learning rate and other batches. (Every such step is skipped.)"""
    max_rollbacks: NonNegativeCount = 3
    """How often training goes back before it gives up."""
    log_every: PositiveCount = 50
    """Steps between two lines of metrics."""
    tensorboard: bool = False
    """Write the metrics for TensorBoard too, in RUN/tensorboard."""
    activations: Literal["auto", "fp32", "bf16"] = "auto"
    """Number format of what layers pass on in training. bf16 takes less memory and traffic, and needs precision bf16;
    weights, their gradients, sums inside norms, the loss and the optimizer stay in fp32. `auto` is bf16 on a CPU with
    precision bf16, where casts between products take long, and fp32 elsewhere."""
    attention_kernel: Literal["auto", "varlen", "fa3", "flex"] = "auto"
    """Kernel of attention in training, on CUDA: `varlen` is FlashAttention 2, `fa3` FlashAttention 3 on H100 and H200
    (needs the package `flash_attn_interface`), `flex` FlexAttention over blocks of sentences. `auto` is `varlen` where
    that runs, and the padded grid elsewhere. Which one is the fastest has not been measured."""
    sharded: bool = False
    """Split weights, gradients and optimizer state over the devices (FSDP2), for a model that does not fit on one."""
    sharded_gather: Literal["fp32", "bf16"] = "fp32"
    """Number format in which the devices of `sharded` gather the weights of a layer. bf16 is half the traffic and needs
    precision bf16; the weights themselves, the sums of gradients and the optimizer stay in fp32."""


class AugmentationSettings(Settings):
    """Alterations of the training text, each drawn again whenever a pair is read; 0 turns one off.

    They need the text in the prepared data. Probabilities are those of a pair.
    """

    upper_case: Fraction = 0.0
    """Both sides in capitals."""
    title_case: Fraction = 0.0
    """Every word of both sides with a capital."""
    lower_case: Fraction = 0.0
    """Both sides without capitals."""
    typos: Fraction = 0.0
    """Typing errors in the source: letters left out, doubled, swapped, or those of a neighbouring key."""
    drop_final_punctuation: Fraction = 0.0
    """Both sides without the punctuation that ends them."""
    merge: Fraction = 0.0
    """Another pair of the batch in the same line, on both sides."""
    copied: Fraction = 0.0
    """An emoji, a rare character, a tag, a placeholder or a number that both sides begin or end with."""

    @property
    def is_on(self) -> bool:
        """Whether anything is altered."""
        return any(self.model_dump().values())


class DecodingSettings(Settings):
    """Search for the best translation."""

    search: Literal["beam", "sampling", "mbr"] = "beam"
    """beam: the most probable translations; sampling: random ones; mbr: of `mbr_samples` random ones, those that are
    most similar to all the others (minimum Bayes risk)."""
    beam_size: FewCount = 5
    """Hypotheses kept for each sentence; 1 is greedy."""
    n_best: FewCount = 1
    """Translations returned for each line: at most `beam_size`, or with mbr at most `mbr_samples`. No text is returned
    twice, except by sampling."""
    length_penalty: Literal["gnmt", "mean"] = "gnmt"
    """Divisor of a hypothesis's log-probability: gnmt ((5 + n) / 6) ** alpha, mean n ** alpha."""
    length_alpha: Annotated[float, Field(ge=0.0, le=5.0, allow_inf_nan=False)] = 0.6
    """Exponent of the length penalty; 0 turns it off."""
    max_length_factor: Annotated[float, Field(ge=0.0, le=100.0, allow_inf_nan=False)] = 2.0
    """A translation has at most factor * source pieces + `max_length_extra` pieces."""
    max_length_extra: Pieces = 10
    """See `max_length_factor`. A tight limit saves time: beam search stops when nothing within it could be better."""
    min_length_factor: Annotated[float, Field(ge=0.0, le=100.0, allow_inf_nan=False)] = 0.0
    """A translation has at least factor * source pieces + `min_length_extra` pieces."""
    min_length_extra: Annotated[int, Field(ge=0, le=100_000), WRITTEN] = 0
    """See `min_length_factor`."""
    diverse_groups: FewCount = 1
    """Groups of beams that are kept apart (diverse beam search); must divide `beam_size`."""
    diversity_penalty: Nats = 0.5
    """Cost of a piece, in nats, for each hypothesis of an earlier group that chose the same piece."""
    prefix: str = ""
    """Text that every translation begins with."""
    banned: list[str] = []
    """Texts that no translation contains at the beginning of a word."""
    required: list[str] = []
    """Texts that every translation contains; only beam search with a beam of at least 2 can do this."""
    repetition_penalty: Nats = 0.0
    """Cost, in nats, of a piece that the hypothesis already contains; it changes the ranking, not log-probabilities."""
    block_ngrams: Annotated[int, Field(ge=0, le=1000), WRITTEN] = 0
    """No sequence of this many pieces occurs twice in a translation; 0 allows all."""
    replace_unknown: bool = False
    """Replace an unknown piece by the source word that was attended to most."""
    temperature: Annotated[float, Field(ge=1e-3, le=1000.0, allow_inf_nan=False)] = 1.0
    """Sampling: divisor of the logits; below 1 probable pieces become more probable."""
    top_k: Annotated[int, Field(ge=0, le=10**6), WRITTEN] = 0
    """Sampling: only from this many most probable pieces; 0 is all."""
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Sampling: only from the most probable pieces that together have this probability."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 1
    """Sampling: a line's samples depend on this number and on the line, not on its index or its neighbours."""
    mbr_samples: Annotated[int, Field(ge=2, le=1000), WRITTEN] = 32
    """Sampled translations that minimum Bayes risk chooses from."""
    mbr_utility: Literal["chrf", "bleu"] = "chrf"
    """Similarity for minimum Bayes risk: sentence chrF or sentence BLEU."""
    long_lines: Literal["split", "none", "truncate", "blank"] = "split"
    """split: translate a line of more than `split_above` pieces sentence by sentence; none: leave it whole. Either
    way, what is longer than the model's maximum is translated in parts that end at sentences or clauses; truncate: such
    a line is cut; blank: its translation is blank."""
    protect: list[str] = []
    """Text that is not translated: `url`, `email`, `placeholder` (`{name}`, `%s`), `number` (with its unit), and
    regular expressions. Each string is in the translation as often as in the source, and unchanged."""
    split_above: LengthOrAuto = "auto"
    """Source pieces of the longest line that is not split into its sentences; 0 splits every line. `auto` is what 99 of
    100 training sources do not exceed, and 0 if fewer than 1 of 100 hold several sentences, since such a model leaves
    the second one out; training keeps that number for the run."""
    invalid_utf8: Literal["replace", "refuse"] = "replace"
    """What to do with bytes that are not UTF-8: replace them by U+FFFD, or stop with an error."""
    alignment: str = "auto"
    """The cross-attention head that alignments come from, `LAYER.HEAD` counted from 1; `auto` is learned."""
    quantize: Literal["none", "int8"] = "none"
    """Weights of the matrix products in 8 bits, by CTranslate2: faster on the CPU, and translations may differ in a few
    words."""
    batch_tokens: CountOrAuto = "auto"
    """Source tokens of a batch, times the beam, that are decoded together; `auto` is 8,192, and on CUDA up to 81,920 as
    far as a quarter of the device's memory allows."""


def _known_device(name: object) -> object:
    if isinstance(name, str) and (problem := problem_with_device(name)):
        raise ValueError(problem)
    return name


class Config(Settings):
    """All settings of a run."""

    run: str | None = None
    """Run directory; by default `runs/` and the name of the configuration file."""
    preset: Literal["auto", "tiny", "small", "base", "big", "student", "student-tiny"] = "auto"
    """Defaults of model, tokenizer and training by size; `auto` chooses by the number of training pairs, and never a
    student: a model with few decoder layers, to be trained on a teacher's translations."""
    start_from: str | None = None
    """Fine-tuning: begin with the weights of another run, `RUN` or with those that `--weights NAME` would
    select (`RUN:NAME`). Tokenizer, preset and model settings come from that run; only dropout may differ, and
    `tokenizer.extend` may add to the vocabulary."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 1
    """Seed of initialisation, data order and dropout."""
    device: Annotated[Literal["auto", "cpu", "cuda"], BeforeValidator(_known_device)] = "auto"
    """Where to compute; `auto` is CUDA if there is a device. `CUDA_VISIBLE_DEVICES` chooses one of several."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Number format of matrix products; `auto` is bf16 if the device has instructions for it, else fp32."""
    compile: bool | None = None
    """Compile the model with `torch.compile` on batches of one shape (needs FlashAttention, and random batches); by
    default on CUDA."""
    devices: FewCount = 1
    """Devices (or processes on the CPU) that train or translate together on this machine. Under `torchrun` its
    number of processes counts instead."""
    threads: FewCount | None = None
    """CPU threads of each process; by default all cores."""
    data: DataSettings = DataSettings()
    tokenizer: TokenizerSettings = TokenizerSettings()
    model: ModelSettings = ModelSettings()
    training: TrainingSettings = TrainingSettings()
    augmentation: AugmentationSettings = AugmentationSettings()
    decoding: DecodingSettings = DecodingSettings()
