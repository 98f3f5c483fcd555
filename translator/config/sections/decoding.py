"""`decoding`: the search for the best translation, and what becomes of the text around it."""

from typing import Annotated, Literal

from pydantic import Field

from translator.config.setting_types import CountOrAuto, FewCount, LengthOrAuto, Nats, Pieces, Settings
from translator.config.units import WRITTEN


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
    """A translation has at most factor * source pieces + `max_length_extra` pieces, those of a prefix not counted."""
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
    """The cross-attention head that alignments come from, `LAYER.HEAD` counted from 1; `auto` is the one of
    `training.guided_alignment`, or learned."""
    quantize: Literal["none", "int8"] = "none"
    """Weights of the matrix products in 8 bits, by CTranslate2: faster on the CPU, and translations may differ in a few
    words."""
    shortlist: bool = False
    """Whether only the target pieces compete that `translator shortlist` found for the source pieces of a batch, by
    CTranslate2: faster on the CPU, and a few translations differ."""
    batch_tokens: CountOrAuto = "auto"
    """Source tokens of a batch, times the beam, that are decoded together; `auto` is 8,192, and on CUDA up to 81,920 as
    far as a quarter of the device's memory allows."""
