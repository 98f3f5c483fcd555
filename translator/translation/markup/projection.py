"""Putting tags and protected strings into a translation, each exactly once, along the word alignment.

The translation is divided into cells (words, marks, characters of scripts without spaces). Each cell knows which source
characters it comes from. An element takes the run of cells that holds as much as possible of what comes from its
text and as little as possible of the rest, inside the element around it and beside its siblings, so that nesting is
valid whatever the alignment says. What has no text goes where it crosses the fewest links.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from translator.translation.markup.segment import Item, Segment

Link = tuple[int, int, int, int]
"""Characters of the source (begin, end) and of the translation (begin, end) that are aligned."""

_UNSPACED = "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_CELL = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+|[^\w\s]")
_MOST_LOST = 100
"""Strings that the model lost and that are put where their sources are; the time for each grows with the words."""


@dataclass
class _Cell:
    """A part of a translation that no tag divides."""

    text: str
    """As it is written, with entities."""
    gap: str
    """The white space before it."""
    sources: list[tuple[int, int, int]] = field(default_factory=list)
    """Characters of the source (begin, end) that it comes from, with a weight."""

    is_kept: bool = False
    """Whether it is an atom, which nothing may replace."""

    def __post_init__(self) -> None:
        self._total = sum((right - left) * weight for left, right, weight in self.sources)
        self._first = min((left for left, _, _ in self.sources), default=0)
        self._last = max((right for _, right, _ in self.sources), default=0)

    def share(self, begin: int, end: int) -> float | None:
        """Return how much of it comes from some characters of the source, 0 to 1; None if it comes from nowhere."""
        if not self._total:
            return None
        if self._last <= begin or end <= self._first:
            return 0.0
        if begin <= self._first and self._last <= end:
            return 1.0
        inside = sum(max(0, min(right, end) - max(left, begin)) * weight for left, right, weight in self.sources)
        return inside / self._total


class _Links:
    """The links of a line, to be asked what some of its characters come from."""

    def __init__(self, links: Sequence[Link]) -> None:
        self._links = sorted(links, key=lambda link: link[2])
        self._begins = [link[2] for link in self._links]
        # Where the last of a link and all before it ends, which rises although links may overlap.
        self._ends = list(accumulate((link[3] for link in self._links), max))

    def sources(self, begin: int, end: int) -> list[tuple[int, int, int]]:
        """Return what characters of the translation come from: of the source (begin, end), with weights."""
        if len(self._links) == 1:
            # Nothing is known but where the texts begin and end.
            ((left, right, first, last),) = self._links
            scale = (right - left) / max(1, last - first)
            return [(round(left + (begin - first) * scale), max(1, round(left + (end - first) * scale)), 1)]
        near = self._links[bisect_right(self._ends, begin) : bisect_left(self._begins, end)]
        return [
            (left, right, min(end, last) - max(begin, first))
            for left, right, first, last in near
            if min(end, last) > max(begin, first) and right > left
        ]


def put_back(segment: Segment, translation: str, links: Sequence[Link], escape: Callable[[str], str]) -> str:
    """Return a translation of the segment's text with everything that was taken out, and the white space around it.

    `links` align the characters of text and translation; without any, what was taken out goes to the same
    relative positions. `escape` writes text as the markup wants it.
    """
    translation = translation.strip()
    cells = _cells(segment, translation, _Links(links or [_proportional(segment, translation)]), escape)
    content = _write(segment.items, cells, 0, len(cells), (0, len(segment.text)))
    return segment.lead + content + segment.trail


def _proportional(segment: Segment, translation: str) -> Link:
    return 0, len(segment.text), 0, len(translation)


def _cells(segment: Segment, text: str, links: _Links, escape: Callable[[str], str]) -> list[_Cell]:
    """Divide a translation, with every atom of the segment in a cell of its own."""
    kept: list[tuple[int, int, Item | None]] = []
    missing: list[Item] = []
    is_taken = bytearray(len(text))
    # Where each text is; what is taken stays taken, so that no place has to be looked at twice.
    places: dict[str, Iterator[tuple[int, int]]] = {}

    def next_free(shown: str) -> tuple[int, int] | None:
        if shown not in places:
            places[shown] = _occurrences(shown, text)
        for begin, end in places[shown]:
            if not any(is_taken[begin:end]):
                is_taken[begin:end] = b"\1" * (end - begin)
                return begin, end
        return None

    atoms = segment.atoms()
    for atom in atoms:
        span = next_free(segment.text[atom.begin : atom.end])
        if span is not None:
            kept.append((*span, atom))
        else:
            missing.append(atom)
    for shown in {segment.text[own.begin : own.end]: None for own in atoms if own.kind == "protected"}:
        # A protected string that the model wrote more often than the source does.
        while (span := next_free(shown)) is not None:
            kept.append((*span, None))
    kept.sort(key=lambda own: own[0])
    cells: list[_Cell] = []
    position = 0
    for begin, end, own in [*kept, (len(text), len(text), None)]:
        for match in _CELL.finditer(text, position, begin):
            gap = text[_end_of(text, match.start(), position) : match.start()]
            cells.append(_Cell(escape(match[0]), gap, links.sources(*match.span())))
        if own is not None:
            gap = text[_end_of(text, begin, 0) : begin]
            cells.append(_Cell(own.before, gap, [(own.begin, own.end, 1)], True))
        position = end
    for index, atom in enumerate(missing):
        relative = round(len(cells) * atom.begin / len(segment.text))
        run = _place(cells, atom) if index < _MOST_LOST else (relative, relative)
        around = segment.text[max(0, atom.begin - 1) : atom.begin], segment.text[atom.end : atom.end + 1]
        _insert(cells, atom, run, (around[0].isspace(), around[1].isspace()))
    return cells


def _end_of(text: str, begin: int, least: int) -> int:
    """Return where the white space before `begin` begins."""
    while begin > least and text[begin - 1].isspace():
        begin -= 1
    return begin


def _occurrences(shown: str, text: str) -> Iterator[tuple[int, int]]:
    """Yield where a text is in another as words of its own."""
    begin = text.find(shown)
    while begin >= 0:
        end = begin + len(shown)
        is_inside = (shown[0].isalnum() and _is_word(text[begin - 1 : begin])) or (
            shown[-1].isalnum() and _is_word(text[end : end + 1])
        )
        if not is_inside:
            yield begin, end
        begin = text.find(shown, begin + 1 if is_inside else end)


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _place(cells: Sequence[_Cell], atom: Item) -> tuple[int, int]:
    """Return the cells that come from an atom, or the place between others if there are none."""
    run = _best_run(cells, 0, len(cells), (atom.begin, atom.end), [cell.is_kept for cell in cells])
    if run is None:
        at = _best_boundary(cells, range(len(cells) + 1), atom.begin)
        run = (at, at)
    return run


def _insert(cells: list[_Cell], atom: Item, run: tuple[int, int], spaces: tuple[bool, bool]) -> None:
    """Write an atom instead of a run of cells.

    `spaces` tell whether white space is before and after it in the source, as there must be in the translation.
    """
    gap = cells[run[0]].gap if run[0] < len(cells) else ""
    cells[run[0] : run[1]] = [
        _Cell(atom.before, gap or (" " if run[0] and spaces[0] else ""), [(atom.begin, atom.end, 1)], True)
    ]
    if len(cells) > run[0] + 1 and spaces[1]:
        following = cells[run[0] + 1]
        following.gap = following.gap or (" " if following.text[:1].isalnum() or following.is_kept else "")


def _best_run(
    cells: Sequence[_Cell], low: int, high: int, source: tuple[int, int], taken: Sequence[bool]
) -> tuple[int, int] | None:
    """Return the run of free cells that holds most of what comes from `source` and least of the rest."""
    best, found = 0.0, None
    total, start = 0.0, low
    for index in range(low, high):
        share = cells[index].share(*source)
        value = -0.01 if share is None else share - 0.5
        if taken[index] or total <= 0.0:
            total, start = 0.0, index
        if taken[index]:
            start = index + 1
            continue
        total += value
        if total > best + 1e-9:
            best, found = total, (start, index + 1)
    return found


def _best_boundary(cells: Sequence[_Cell], boundaries: Sequence[int], position: int) -> int:
    """Return the boundary before and after which the fewest cells come from the other side of a source position."""
    shares = [cell.share(0, position) for cell in cells]
    # Cells after the boundary should come from nothing before the position, cells before it from nothing after.
    costs = [sum(share or 0.0 for share in shares)]
    for share in shares:
        costs.append(costs[-1] + (0.0 if share is None else 1.0 - 2.0 * share))
    return min(boundaries, key=lambda boundary: (round(costs[boundary], 6), boundary))


def _write(items: Sequence[Item], cells: Sequence[_Cell], low: int, high: int, source: tuple[int, int]) -> str:
    """Write the cells from `low` to `high`, with `items`, which are inside the same element."""
    placed: list[tuple[int, int, int, Item]] = []
    taken = [False] * len(cells)
    is_inside = [False] * (len(cells) + 1)  # of what is placed already, for the boundaries between cells
    items = [item for item in items if item.kind in ("element", "point")]
    for index, item in sorted(enumerate(items), key=lambda own: own[1].begin - own[1].end):
        run: tuple[int, int] | None = None
        if item.end > item.begin and high > low:
            is_all = (item.begin, item.end) == source and not any(taken[low:high])
            run = (low, high) if is_all else _best_run(cells, low, high, (item.begin, item.end), taken)
        if run is None:
            free = [at for at in range(low, high + 1) if not is_inside[at]]
            at = _best_boundary(cells, free, item.begin)
            run = (at, at)
        taken[run[0] : run[1]] = [True] * (run[1] - run[0])
        is_inside[run[0] + 1 : run[1]] = [True] * max(0, run[1] - run[0] - 1)
        placed.append((*run, index, item))
    placed.sort(key=lambda own: (own[0], own[1] > own[0], own[2]))
    written, position = [], low
    for begin, end, _, item in placed:
        written.append(_text(cells, position, begin, low))
        if end > begin > low:
            written.append(cells[begin].gap)
        inner = _write(item.children, cells, begin, end, (item.begin, item.end))
        written.append(item.before + inner + item.after)
        position = end
    written.append(_text(cells, position, high, low))
    return "".join(written)


def _text(cells: Sequence[_Cell], begin: int, end: int, low: int) -> str:
    """Return the text of cells; the white space before the cell at `low` belongs to what is around them."""
    return "".join(cells[at].gap + cells[at].text if at > low else cells[at].text for at in range(begin, end))
