"""Parallel corpora in two texts of as many lines: two files, or two members of an archive."""

from collections.abc import Callable, Iterator
from itertools import zip_longest

from translator.errors import DataError
from translator.runtime.counted import counted
from translator.text.corpus import Pair
from translator.text.line_shift import describe_shift

Lines = Callable[[], Iterator[str]]


def read_text_pair(source: Lines, target: Lines, names: tuple[str, str]) -> Iterator[Pair]:
    """Yield line i of both texts; raise `DataError` with the first line that looks shifted if their counts differ."""
    for left, right in zip_longest(source(), target()):
        if left is None or right is None:
            break
        yield left, right
    else:
        return
    counts = [sum(1 for _ in lines()) for lines in (source, target)]
    raise DataError(
        f"corpus {names[0]} has {counted(counts[0], 'line')} but {names[1]} has {counts[1]:,}"
        f"{describe_shift(source(), target())}. Line i of both files must belong together; only a line feed ends a line"
    )
