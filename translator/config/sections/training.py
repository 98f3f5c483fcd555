"""`training`: optimisation, validation, and which checkpoints and weights are kept."""

from typing import Annotated, Literal

from pydantic import Field

from translator.config.setting_types import (
    CountOrAuto,
    DurationOrAuto,
    FewCount,
    Fraction,
    Nats,
    NonNegativeCount,
    NonNegativeFloat,
    PositiveCount,
    PositiveFloat,
    Settings,
)
from translator.config.units import WRITTEN, Duration


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
    guided_alignment: Nats = 0.0
    """Weight of guided alignment (Chen et al. 2016), such as 0.05: one head of the cross-attention learns the word
    links of the corpora that have `alignments`. 0 turns it off."""
    guided_alignment_head: str = "auto"
    """The head that learns them, `LAYER.HEAD` counted from 1; `auto` is the first head of the last decoder layer but
    one (Garg et al. 2019)."""
    stages: list[Stage] = []
    """Stages with weights of their own for the corpora of `data.train`, such as first mostly back-translated text and
    then clean text: `[{weights: [1, 3], until: 20k}, {weights: [1, 0]}]`. Each begins with a new epoch."""
    freeze: list[str] = []
    """Patterns of parameter names that are not trained, such as `encoder_layers.*`."""
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
    and the best checkpoint validates best becomes the model."""
    max_skipped: PositiveCount = 10
    """Steps in a row with a gradient that is not finite after which training goes back to the last checkpoint
    before them, with half the learning rate and other batches. (Every such step is skipped.)"""
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
