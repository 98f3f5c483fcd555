"""The corpora of a run, read to the end once: hashes of all sentences, and what filters drop."""

from dataclasses import dataclass

import numpy as np

from translator.config import DataSettings
from translator.data.cleaning import Sentences, are_blank, scan, select
from translator.data.corpora import Corpora, hold_out
from translator.data.filters import chosen_filters
from translator.data.filters.scores import ScoreFilter
from translator.errors import DataError
from translator.runtime.console import progress, warn
from translator.text import Corpus


@dataclass(frozen=True)
class ScannedCorpora:
    """The corpora of a run, read to the end once."""

    corpora: Corpora
    sentences: dict[str, list[Sentences]]
    """What was found of every corpus, by the names of `corpora`."""
    read: list[int]
    """Pairs of every training corpus that are trained on if cleaning keeps them: all but those that are held out."""
    held_out: list[int]
    """Pairs at the end of every training corpus that are held out for validation."""

    @classmethod
    def scan(cls, corpora: Corpora, data: DataSettings, for_training: bool = True) -> "ScannedCorpora":
        """Read all corpora; raise `DataError` if one is empty or if there is nothing to hold out.

        Without `for_training`, nothing is held out.
        """
        sentences = {name: [_scan(corpus, name, data) for corpus in part] for name, part in corpora.items()}
        for name, part in corpora.items():
            for corpus, hashes in zip(part, sentences[name], strict=True):
                if not len(hashes):
                    raise DataError(f"the {name} corpus {corpus.name} is empty; expected at least one pair")
        sizes = [len(hashes) for hashes in sentences["train"]]
        if not for_training:
            return cls(corpora, sentences, sizes, [0] * len(sizes))
        held_out = hold_out(sizes, data) if "valid" not in corpora else [0] * len(sizes)
        read = [size - count for size, count in zip(sizes, held_out, strict=True)]
        valid = sentences.get("valid") or [part[size:] for part, size in zip(sentences["train"], read, strict=True)]
        name = (
            "the valid corpus " + corpora["valid"][0].name
            if "valid" in corpora
            else "the pairs held out for validation"
        )
        _require_valid_text(name, sum(int(are_blank(part).sum()) for part in valid), sum(map(len, valid)))
        return cls(corpora, sentences, read, held_out)

    def select(self, data: DataSettings) -> np.ndarray:
        """Return for each training pair whether it is kept, as `translator.data.cleaning.select` does."""
        scans, read = self.sentences, self.read
        train = [sentences[:count] for sentences, count in zip(scans["train"], read, strict=True)]
        references = [sentences for name, part in scans.items() if name != "train" for sentences in part]
        if "valid" not in scans:
            references += [sentences[count:] for sentences, count in zip(scans["train"], read, strict=True)]
        targets = None
        if data.language_tags:
            names = [corpus.languages[1] for corpus in self.corpora["train"]]
            targets = np.repeat([sorted(set(map(str, names))).index(str(name)) for name in names], read)
        return select(Sentences.joined(train), references, data.drop_duplicates, data.drop_leaks, targets)


def _scan(corpus: Corpus, name: str, data: DataSettings) -> Sentences:
    pairs = progress(corpus.pairs(), description=f"checking {name}", unit="pairs")
    if name != "train":
        return scan(pairs)
    filters = chosen_filters(data, corpus)
    found = scan(pairs, filters, data.drop_near_duplicates)
    for each in filters:
        if isinstance(each, ScoreFilter):
            each.require_scores_of(len(found))
    return found


def _require_valid_text(name: str, blank: int, pairs: int) -> None:
    """Raise `DataError` if no validation pair can be scored; warn if some cannot."""
    if blank == pairs:
        raise DataError(
            f"{name}: all of {pairs:,} pairs have a blank source or target, so nothing can be validated; set "
            "data.valid to pairs with text on both sides"
        )
    if blank:
        warn(f"{name}: {blank:,} of {pairs:,} pairs have a blank source or target")
