"""A segment: what is translated at once of a line with markup, and where its tags and protected strings are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from translator.translation.markup.tokens import Token


@dataclass
class Item:
    """Something of a segment that is not plain text."""

    begin: int
    end: int
    """Where it is in the text of the segment, in characters."""
    before: str
    """What is written at its beginning: the opening tag, or all of a point, an atom or a protected string."""
    after: str = ""
    """The closing tag of an element."""
    kind: str = "element"
    """`element`, `point`, `atom` or `protected`."""
    children: list["Item"] = field(default_factory=list)
    """What is inside an element, in order."""

    def atoms(self) -> Iterator["Item"]:
        """Yield all text inside that is kept as it is, in order."""
        if self.kind in ("atom", "protected"):
            yield self
        for child in self.children:
            yield from child.atoms()


@dataclass
class Segment:
    """Text without markup, what was in it, and the white space around it."""

    text: str
    items: list[Item]
    lead: str
    trail: str

    def atoms(self) -> list[Item]:
        """Return all text that is kept as it is, in order."""
        return [atom for item in self.items for atom in item.atoms()]


def make_segment(tokens: Sequence[Token]) -> Segment | None:
    """Return the segment of tokens without a border; None if there is nothing to translate in them, not
    a letter or digit."""
    characters = [pair for token in tokens for pair in token.characters]
    text = "".join(shown for shown, _ in characters)
    content = text.strip()
    if not any(shown.isalnum() for token in tokens if token.kind == "text" for shown, _ in token.characters):
        return None
    first = len(text) - len(text.lstrip())
    last = first + len(content)

    def clipped(position: int) -> int:
        return min(max(position, first), last) - first

    root = Item(0, len(content), "")
    around = [root]
    position = 0
    for token in tokens:
        begin, position = position, position + len(token.characters)
        if token.kind == "open":
            around.append(Item(clipped(begin), 0, token.raw))
        elif token.kind == "close":
            item = around.pop()
            item.end, item.after = clipped(begin), token.raw
            around[-1].children.append(item)
        elif token.kind != "text":
            around[-1].children.append(Item(clipped(begin), clipped(position), token.raw, kind=token.kind))
    outside = "".join(raw for _, raw in characters[:first]), "".join(raw for _, raw in characters[last:])
    return Segment(content, root.children, *outside)
