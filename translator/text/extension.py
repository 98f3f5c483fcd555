"""A larger vocabulary for a model that exists: new pieces, found in new text, with ids after all that it has.

Ids, scores and normalisation of the old pieces stay.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from translator.config.sections import TokenizerSettings
from translator.errors import TokenizerError
from translator.runtime.console import say
from translator.text.model_fields import NewPiece, model_type, with_pieces
from translator.text.new_pieces import Candidate, Side, choose, find_candidates, normalized, scored
from translator.text.tags import tag_symbol
from translator.text.tokenizer import Tokenizer
from translator.text.tokenizer_pair import TokenizerPair, save_tokenizers
from translator.text.tokenizer_training import SAMPLE_SEED, Pairs, even_sample
from translator.text.vocabulary import Vocabulary


def extend_tokenizers(
    base: TokenizerPair, pairs: Pairs, settings: TokenizerSettings, directory: Path, languages: Sequence[str] = ()
) -> TokenizerPair:
    """Add at most `settings.extend` pieces of the pairs to the vocabulary of `base`; write the models to `directory`.

    Where both sides have the same ids, they get the same pieces, otherwise each side that many of its own. The
    vocabulary of the source side also gets the tags of `languages` that it lacks. Raises `TokenizerError` if there is
    no text, or if the models are of a type that cannot be extended.
    """

    def side(index: int) -> Callable[[], Iterator[str]]:
        return lambda: (pair[index] for pair in pairs())

    tags = _missing_tags(base.source, languages)
    if base.joint:
        joint = _extended([Side(base.source, lambda: chain.from_iterable(pairs()))], settings, "tokenizer", tags)[0]
        extended = TokenizerPair(joint, joint, True)
    elif base.share_ids:
        both = [Side(base.source, side(0)), Side(base.target, side(1))]
        source, target = _extended(both, settings, "tokenizer", tags)
        extended = TokenizerPair(source, target, False)
    else:
        source = _extended([Side(base.source, side(0))], settings, "source tokenizer", tags)[0]
        target = _extended([Side(base.target, side(1))], settings, "target tokenizer", [])[0]
        extended = TokenizerPair(source, target, False)
    directory.mkdir(parents=True, exist_ok=True)
    save_tokenizers(extended, directory)
    return extended


def _missing_tags(source: Tokenizer, languages: Sequence[str]) -> list[str]:
    """Return the tags that the vocabulary lacks, written as those that it has."""
    own = source.pieces(list(source.tags.values()))
    style = ">>{}<<".format if own and own[0].startswith(">>") else tag_symbol
    return [style(language) for language in languages if language not in source.tags]


def _extended(sides: list[Side], settings: TokenizerSettings, name: str, tags: Sequence[str]) -> list[Tokenizer]:
    """Return the tokenizers of the sides, all with the same new pieces."""
    kinds = {model_type(side.tokenizer.model) for side in sides}
    if kinds - {"bpe", "unigram"} or len(kinds) > 1:
        raise TokenizerError(
            f"tokenizer.extend: the {name} has models of the type {' and '.join(sorted(kinds))}; expected one of bpe "
            "or unigram; leave the setting out"
        )
    settings = settings.model_copy(update={"type": kinds.pop()})
    samples = [even_sample(side.lines, settings, SAMPLE_SEED, name) for side in sides]
    texts = [normalized(side.tokenizer, sample) for side, sample in zip(sides, samples, strict=True)]
    candidates = find_candidates(sides, texts, settings, name, tags)
    chosen = choose(candidates, sides, texts, settings)
    say(f"{name}: {_described(chosen, settings.extend)}")
    if tags:
        say(f"{name}: new language tags {', '.join(tags)}")
    return [_with(side.tokenizer, chosen, tags, settings.type, name) for side in sides]


def _described(chosen: list[Candidate], wanted: int) -> str:
    examples = ", ".join(each.name.replace("\u2581", "_") for each in chosen[:5])
    found = f"new pieces: {len(chosen):,}, such as {examples}" if chosen else "no new pieces"
    less = f"; the text has no more that would shorten it (tokenizer.extend = {wanted:,})"
    return found + (less if len(chosen) < wanted else "")


def _with(tokenizer: Tokenizer, chosen: Sequence[Candidate], tags: Sequence[str], kind: str, name: str) -> Tokenizer:
    """Return the tokenizer with language tags and pieces after all that it has."""
    pieces, own = scored(tokenizer, chosen, kind), tokenizer.vocabulary
    if own is None:
        controls = [NewPiece(tag, 0.0, is_control=True) for tag in tags]
        return Tokenizer(with_pieces(tokenizer.model, [*controls, *pieces]), name)
    # Language tags of such a vocabulary need no piece of the SentencePiece model.
    names = (*own.pieces, *tags, *(piece.name for piece in pieces))
    vocabulary = Vocabulary(names, own.start, own.end, own.unknown)
    return Tokenizer(with_pieces(tokenizer.model, pieces), name, vocabulary)
