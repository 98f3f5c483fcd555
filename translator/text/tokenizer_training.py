"""Training SentencePiece on an even sample of a corpus: bounded memory, the same result every time."""

import io
import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from translator.config.sections import TokenizerSettings
from translator.errors import TokenizerError
from translator.runtime.console import say
from translator.runtime.counted import counted
from translator.text.normalization import make_normalizer, rule_options, with_rule
from translator.text.tags import tag_symbol
from translator.text.tokenizer import Tokenizer
from translator.text.tokenizer_pair import TokenizerPair, save_tokenizers

# Not the run's seed: runs with different seeds share prepared data.
SAMPLE_SEED = 1

Pairs = Callable[[], Iterable[tuple[str, str]]]

# SentencePiece needs about 5 bytes of host memory for a byte of its sample with BPE (word counts), and 30 with unigram
# (a suffix array).
_SAMPLE_BYTES = {"bpe": 64 << 20, "unigram": 16 << 20}
_LONGEST_SLICE = 4000
# Inside SentencePiece U+2581 is the space and U+2585 the unknown character; it skips lines with the latter.
_RESERVED = str.maketrans({"\0": " ", "\n": " ", "\r": " ", "\t": " ", "\u2581": " ", "\u2585": " "})
# The last bits of unigram scores depend on the number of threads, so it is fixed and not the machine's.
_THREADS = 2


def train_tokenizers(
    pairs: Pairs, settings: TokenizerSettings, directory: Path, seed: int = SAMPLE_SEED, languages: Sequence[str] = ()
) -> TokenizerPair:
    """Train on the pairs that `pairs()` yields each time it is called; write the models to `directory`.

    The vocabulary of the source side gets a tag, `<2de>`, for each of the target `languages`. Reads the corpus
    twice for each model (to measure it, then to sample it evenly, at most `sample_size` lines and a bounded
    number of bytes). A vocabulary too large for the text is lowered, with a message.
    Raises `TokenizerError` if there is no text or the vocabulary is too small for its characters.
    """

    def both() -> Iterator[str]:
        for pair in pairs():
            yield from pair

    source_rule = settings.source_normalization or settings.normalization
    of_source = settings.model_copy(update={"normalization": source_rule})
    if settings.joint and source_rule == settings.normalization:
        joint = train_tokenizer(both, settings, seed, languages=languages)
        tokenizers = TokenizerPair(joint, joint, True)
    elif settings.joint:
        # The pieces are those of both sides, each under its own rule, and the two models differ in the rule alone.
        rule = make_normalizer(source_rule, settings.normalization_table)

        def each_normalized() -> Iterator[str]:
            for source, target in pairs():
                yield rule.normalize(source)
                yield target

        target = train_tokenizer(each_normalized, settings, seed, languages=languages)
        model = with_rule(target.model, source_rule, settings.normalization_table)
        tokenizers = TokenizerPair(Tokenizer(model, "source tokenizer"), target, False)
    else:
        source = train_tokenizer(lambda: (pair[0] for pair in pairs()), of_source, seed, "source tokenizer", languages)
        target = train_tokenizer(lambda: (pair[1] for pair in pairs()), settings, seed, "target tokenizer")
        tokenizers = TokenizerPair(source, target, False)
    directory.mkdir(parents=True, exist_ok=True)
    save_tokenizers(tokenizers, directory)
    return tokenizers


def train_tokenizer(
    lines: Callable[[], Iterable[str]],
    settings: TokenizerSettings,
    seed: int = SAMPLE_SEED,
    name: str = "tokenizer",
    languages: Sequence[str] = (),
) -> Tokenizer:
    """Train one model on the lines that `lines()` yields each time it is called; see `train_tokenizers`."""
    sample = even_sample(lines, settings, seed, name)
    vocab_size = settings.vocab_size
    tags = [tag_symbol(language) for language in languages]
    try:
        model = run_sentencepiece(sample(), settings, vocab_size, tags)
    except RuntimeError as error:
        largest = re.search(r"set it to a value <= (\d+)", str(error))
        if largest is None:
            raise explained_error(error, settings, name) from None
        vocab_size = int(largest[1])
        try:
            model = run_sentencepiece(sample(), settings, vocab_size, tags)
        except RuntimeError as second:
            raise explained_error(second, settings, name) from None
    tokenizer = Tokenizer(model, name)
    if tokenizer.vocab_size < settings.vocab_size:
        say(
            f"{name}: the text has too few pieces for tokenizer.vocab_size = {settings.vocab_size:,}; "
            f"lowered to {tokenizer.vocab_size:,}"
        )
    return tokenizer


def even_sample(
    lines: Callable[[], Iterable[str]], settings: TokenizerSettings, seed: int, name: str
) -> Callable[[], Iterator[str]]:
    """Return a function that yields the lines to train on, the same each time it is called.

    They are at most `sample_size` of those of `lines()` and a bounded number of bytes, drawn evenly, without what
    SentencePiece cannot read. Raises `TokenizerError`, which names the tokenizer, if all are blank.
    """
    count, size = _measure(lines())
    if not count:
        raise TokenizerError(f"the {name} cannot be trained: the training text is blank")
    wanted = min(settings.sample_size, count, max(1, count * _SAMPLE_BYTES[settings.type] // size))
    if wanted < count:
        say(f"{name}: training on {wanted:,} of {counted(count, 'line')}, drawn evenly")
    return lambda: _slices(_draw(_not_blank(lines()), count, wanted, seed))


def run_sentencepiece(
    sample: Iterator[str],
    settings: TokenizerSettings,
    vocab_size: int,
    control_symbols: list[str],
    options: Mapping[str, Any] | None = None,
) -> bytes:
    """Train a SentencePiece model of `vocab_size` pieces, and return it; `options` of its trainer replace ours.

    Raises `RuntimeError` as SentencePiece does, if the text has fewer pieces or its characters alone are more.
    """
    import sentencepiece

    writer = io.BytesIO()
    # Only unigram training supports a soft limit.
    limit: Any = {"hard_vocab_limit": False} if settings.type == "unigram" else {}
    with rule_options(settings.normalization, settings.normalization_table) as rule:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=sample,
            model_writer=writer,
            model_type=settings.type,
            vocab_size=vocab_size,
            character_coverage=settings.character_coverage,
            byte_fallback=settings.byte_fallback,
            unk_id=0,
            bos_id=1,
            eos_id=2,
            pad_id=-1,
            control_symbols=control_symbols,
            user_defined_symbols=settings.user_defined_symbols,
            num_threads=_THREADS,
            # In bytes; our lines are shorter, but normalisation can lengthen them.
            max_sentence_length=1 << 20,
            shuffle_input_sentence=False,
            self_test_sample_size=0,
            minloglevel=3,
            **{"split_digits": settings.split_digits, **rule, **limit, **(options or {})},
        )
    model = writer.getvalue()
    if "normalization_rule_tsv" in rule:
        model = with_rule(model, settings.normalization, settings.normalization_table)
    return model


def explained_error(error: RuntimeError, settings: TokenizerSettings, name: str) -> TokenizerError:
    """Return the error of `run_sentencepiece` as a sentence about the tokenizer called `name`."""
    if match := re.search(r"smaller than required_chars\. (\d+) vs (\d+)", str(error)):
        return TokenizerError(
            f"the {name} cannot be trained: tokenizer.vocab_size is {settings.vocab_size:,}, but the "
            f"characters of the text alone need {int(match[2]):,} pieces; raise it, or lower "
            f"tokenizer.character_coverage (now {settings.character_coverage})"
        )
    reason = str(error).strip().splitlines()[0]
    return TokenizerError(f"the {name} cannot be trained: {reason}")


def _not_blank(lines: Iterable[str]) -> Iterator[str]:
    return (line for line in lines if line and not line.isspace())


def _measure(lines: Iterable[str]) -> tuple[int, int]:
    """Return the number of lines that are not blank and their size in bytes."""
    count = size = 0
    for line in _not_blank(lines):
        count += 1
        size += len(line) if line.isascii() else len(line.encode())
    return count, size


def _draw(lines: Iterable[str], count: int, wanted: int, seed: int) -> Iterator[str]:
    """Yield `wanted` of `count` lines in order: one at random from each of `wanted` equal segments."""
    if wanted >= count:
        yield from lines
        return
    generator = random.Random(seed)
    edges = (segment * count // wanted for segment in range(wanted + 1))
    chosen = (generator.randrange(start, end) for start, end in pairwise(edges))
    next_chosen = next(chosen)
    for index, line in enumerate(lines):
        if index == next_chosen:
            yield line
            next_chosen = next(chosen, -1)


def _slices(lines: Iterable[str]) -> Iterator[str]:
    """Replace SentencePiece's own symbols with spaces; cut lines that are too long for it, at a space if possible."""
    for line in lines:
        rest = line.translate(_RESERVED)
        while len(rest) > _LONGEST_SLICE:
            cut = rest.rfind(" ", 1, _LONGEST_SLICE)
            cut = cut if cut > 0 else _LONGEST_SLICE
            yield rest[:cut]
            rest = rest[cut:]
        yield rest
