"""Lines are grouped into blocks that keep their order."""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from translator.text.input_lines import FIRST_BLOCK, LARGEST_BLOCK, blocks_of


@given(st.lists(st.text(max_size=3), max_size=30), st.integers(1, 7))
def test_blocks_contain_all_lines_in_order(lines: list[str], size: int) -> None:
    blocks = list(blocks_of(lines, size))
    assert [line for block in blocks for line in block] == lines
    assert all(len(block) == size for block in blocks[:-1])
    assert all(blocks)


def test_blocks_begin_small_and_double_up_to_a_limit() -> None:
    sizes = [len(block) for block in blocks_of(["a"] * (4 * LARGEST_BLOCK))]
    assert sizes[:3] == [FIRST_BLOCK, 2 * FIRST_BLOCK, 4 * FIRST_BLOCK]
    assert max(sizes) == LARGEST_BLOCK


def test_a_block_ends_if_the_next_line_has_not_arrived() -> None:
    """Whoever waits for an answer before writing the next line gets it."""
    answered: list[str] = []

    def lines() -> Iterator[str]:
        for number in range(6):
            if number in (2, 5):
                assert answered == [str(before) for before in range(number)]
            yield str(number)

    pauses = iter([False, True, False, False, True, False])
    sizes = []
    for block in blocks_of(lines(), waits=lambda: next(pauses)):
        answered += block
        sizes.append(len(block))
    assert sizes == [2, 3, 1]
