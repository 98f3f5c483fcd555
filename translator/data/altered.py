"""Lines that a tokenizer cannot give back as they are: on the target side, no model can write them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from translator.runtime.counted import counted
from translator.text import Tokenizer
from translator.text.normalization import as_seen

_EXAMPLES = 5
_EXCERPT = 40
"""Characters of an example before and after the first difference."""


@dataclass
class AlteredLines:
    """Lines of one side that do not come back through `encode` and `decode`; what no reader can see does not count."""

    lines: int = 0
    examples: list[list[str]] = field(default_factory=list)
    """Excerpts of the first of them: the text, and what came back."""

    def count(self, tokenizer: Tokenizer, texts: Sequence[str], ids: Sequence[Sequence[int]]) -> None:
        """Add the altered lines among `texts`, which were encoded as `ids`."""
        for text, found in zip(texts, tokenizer.decode_all(ids, threads=1), strict=True):
            if text == found or (seen := as_seen(text)) == as_seen(found):
                continue
            self.lines += 1
            if len(self.examples) < _EXAMPLES:
                self.examples.append(_excerpts(seen, found))

    def add(self, other: "AlteredLines") -> None:
        """Add what was counted of later lines."""
        self.lines += other.lines
        self.examples += other.examples[: _EXAMPLES - len(self.examples)]

    def as_count(self) -> dict[str, Any]:
        """Return the entry of a manifest."""
        return {"lines": self.lines, "examples": self.examples}


def _excerpts(text: str, found: str) -> list[str]:
    pairs = enumerate(zip(text, found, strict=False))
    first = next((index for index, (one, other) in pairs if one != other), min(len(text), len(found)))
    begin = max(0, first - _EXCERPT)
    return [("..." if begin else "") + side[begin : first + _EXCERPT] for side in (text, found)]


def describe_altered(counts: dict[str, Any]) -> list[str]:
    """Return a line for each side of the training pairs that the tokenizer alters, from the counts of a manifest."""
    lines = []
    for side, altered in counts.get("altered", {}).items():
        if not altered["lines"]:
            continue
        (text, found), *_ = altered["examples"]
        consequence = ", which the model can therefore not write" if side == "target" else ""
        lines.append(
            f"the tokenizer alters {altered['lines']:,} of {counted(counts['train'], 'line')} of the {side} (tokenizer."
            f"normalization){consequence}, such as {text!r} to {found!r}; `translator data report` has more"
        )
    return lines
