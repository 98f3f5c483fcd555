"""Lexical shortlists: the target pieces that a batch may be translated with, by its source pieces.

CTranslate2 computes logits for those pieces only (its `vmap.txt`). A line has a source piece, a tab, and target pieces
with spaces between them; the line of the empty source has those that are always allowed.
"""

from pathlib import Path

import numpy as np

from translator.checkpoints import Bundle, RunDirectory
from translator.data.lexicon import Lexicon
from translator.errors import ConfigError
from translator.text import TokenizerPair

_SEPARATORS = frozenset("\t\n ")


def shortlist_text(lexicon: Lexicon, tokenizers: TokenizerPair, best: int, frequent: int) -> str:
    """Return the text of a shortlist: for each source piece its `best` target pieces, and the same piece if it is one.

    The `frequent` most frequent target pieces are always allowed.
    """
    source_pieces, target_pieces = (
        side.pieces(range(side.vocab_size)) for side in (tokenizers.source, tokenizers.target)
    )
    same = {piece: index for index, piece in enumerate(target_pieces)}
    common = np.argsort(-lexicon.frequency, kind="stable")[:frequent]
    lines = ["\t" + _joined(target_pieces, common[lexicon.frequency[common] > 0].tolist())]
    bounds = np.searchsorted(lexicon.source, np.arange(len(source_pieces) + 1))
    for index, piece in enumerate(source_pieces):
        own = lexicon.target[bounds[index] : bounds[index + 1]][:best].tolist()
        # Names, numbers and bytes are copied.
        own += [same[piece]] if piece in same and same[piece] not in own else []
        if own and not _SEPARATORS & set(piece):
            lines.append(f"{piece}\t{_joined(target_pieces, own)}")
    return "".join(f"{line}\n" for line in lines)


def _joined(pieces: list[str], indices: list[int]) -> str:
    return " ".join(pieces[index] for index in indices if not _SEPARATORS & set(pieces[index]))


def shortlist_of(bundle: Bundle) -> Path:
    """Return the shortlist of a run; raise `ConfigError` if there is none, or one for another vocabulary."""
    path = RunDirectory(bundle.directory).shortlist
    make = f"make it with `translator shortlist {bundle.directory}`"
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise ConfigError(
            [f"decoding.shortlist: there is no {path}; {make}, or set decoding.shortlist=false"]
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"decoding.shortlist: cannot read {path} ({error}); {make} again"]) from None
    target = bundle.tokenizers.target
    known = set(target.pieces(range(target.vocab_size)))
    for number, line in enumerate(text.removesuffix("\n").split("\n"), start=1):
        source, tab, own = line.partition("\t")
        if not tab or not set(filter(None, own.split(" "))) <= known:
            raise ConfigError(
                [
                    f"decoding.shortlist: {path}, line {number:,}: found {line[:40]!r}, expected a source piece, a tab "
                    f"and target pieces of this vocabulary; {make} again"
                ]
            )
    return path
