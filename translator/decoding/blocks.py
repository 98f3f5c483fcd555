"""Which lines are translated together: as many as make good batches, as few as let a reader wait for little."""

from collections.abc import Callable, Iterable, Iterator

FIRST_BLOCK = 64
"""Lines of the first block: few, so that the first translations appear soon."""
LARGEST_BLOCK = 4096
"""Lines that are sorted by length together at most; they bound the memory."""


def blocks_of(
    lines: Iterable[str], size: int | None = None, waits: Callable[[], bool] | None = None
) -> Iterator[list[str]]:
    """Group lines, `size` at a time; by default blocks begin small and double.

    A block also ends where `waits` tells that the next line has yet to come.
    """
    count, block = size or FIRST_BLOCK, list[str]()
    for line in lines:
        block.append(line)
        if len(block) == count or (waits is not None and waits()):
            if len(block) == count and not size:
                count = min(2 * count, LARGEST_BLOCK)
            yield block
            block = []
    if block:
        yield block
