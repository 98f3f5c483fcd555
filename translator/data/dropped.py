"""What is left out of the training pairs: how many for each reason, a few examples, and the table that says so."""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from translator.data.cleaning import ALWAYS, REASONS
from translator.text import Corpus

_EXAMPLES = 3
_EXAMPLE_CHARACTERS = 200


class Dropped:
    """Counts of dropped training pairs, and the first few of each reason."""

    def __init__(self, filters: Collection[str] = ()) -> None:
        """`filters` are the reasons that the settings add to those that are always counted."""
        self._reasons = [reason for reason in REASONS if reason in (*ALWAYS, *filters)]
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, list[dict[str, Any]]] = {}

    @classmethod
    def of(cls, counts: dict[str, int], examples: dict[str, list[dict[str, Any]]]) -> "Dropped":
        """Return what `counts` and `examples` describe."""
        made = cls(counts)
        made._counts.update(counts)
        made._examples = {reason: list(rows) for reason, rows in examples.items()}
        return made

    def add(self, reason: str, corpus: str, pair: int, texts: tuple[str, str]) -> None:
        """Count a pair, the `pair`th of the corpus of this name."""
        self._counts[reason] += 1
        examples = self._examples.setdefault(reason, [])
        if len(examples) < _EXAMPLES:
            source, target = (text[:_EXAMPLE_CHARACTERS] for text in texts)
            examples.append({"corpus": corpus, "pair": pair, "source": source, "target": target})

    def merge(self, other: "Dropped") -> None:
        """Add what was counted of later pairs."""
        self._counts.update(other._counts)
        for reason, examples in other._examples.items():
            own = self._examples.setdefault(reason, [])
            own += examples[: _EXAMPLES - len(own)]

    def counts(self) -> dict[str, int]:
        """Return the number of pairs for every reason, in the order of the checks."""
        return {reason: self._counts[reason] for reason in self._reasons}

    def examples(self) -> dict[str, list[dict[str, Any]]]:
        """Return the examples of the reasons that occurred, as values for JSON."""
        return {reason: self._examples[reason] for reason in self._reasons if reason in self._examples}


def skipped_of(corpora: Sequence[Corpus]) -> dict[str, int]:
    """Return what reading corpora to the end passed over, by its name."""
    total: Counter[str] = Counter()
    for corpus in corpora:
        total.update(corpus.skipped)
    return dict(total)


def describe_dropped(
    read: int, kept: int, held_out: int, dropped: dict[str, int], skipped: dict[str, int]
) -> list[str]:
    """Return the lines of the table: pairs read and kept, and what was dropped for each reason."""
    held = f", of which {held_out:,} held out for validation" if held_out else ""
    return [
        f"training pairs: {read:,} read{held}, {kept:,} kept",
        *(f"  {count:>12,}  {100 * count / read:6.2f} %  {REASONS[name]}" for name, count in dropped.items()),
        *(f"  {count:>12,}  {'':>8}  skipped: {name}" for name, count in skipped.items()),
    ]


def describe_examples(examples: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Return the lines that show examples of dropped pairs, reason by reason."""
    lines = []
    for reason, rows in examples.items():
        lines += ["", f"dropped, {REASONS[reason]}, for example"]
        for row in rows:
            lines.append(f"  {row['corpus']}, pair {row['pair']:,}")
            lines += [f"    {side}: {_shown(row[side])}" for side in ("source", "target")]
    return lines


def _shown(text: str, width: int = 90) -> str:
    text = " ".join(text.split())
    return (text if len(text) <= width else f"{text[: width - 3]}...") or "(blank)"
