"""Letters for shapes have one meaning: the legends of the rooms that follow docs/shapes.md use letters of that page."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LETTERS = set(re.findall(r"^\| `(\w)` \|", (ROOT / "docs/shapes.md").read_text("utf-8"), re.MULTILINE))
LEGENDS = {
    path.relative_to(ROOT): legend[1]
    for path in sorted((ROOT / "translator").rglob("*.py"))
    if (
        legend := re.search(
            r"^Legend \(docs/shapes.md\): (.*?\.)\s*(?:\n\n|\"\"\")", path.read_text("utf-8"), re.M | re.S
        )
    )
}


def test_there_are_legends() -> None:
    assert len(LETTERS) > 10
    assert {path.parts[1] for path in LEGENDS} >= {"attention", "model", "inference"}


@pytest.mark.parametrize("path", LEGENDS, ids=str)
def test_legends_use_the_letters_of_the_page(path: Path) -> None:
    used = set(re.findall(r"`([A-Z])[a-z]?`", LEGENDS[path]))
    assert used and used <= LETTERS


@pytest.mark.parametrize("path", LEGENDS, ids=str)
def test_shapes_of_a_file_use_the_letters_of_its_legend(path: Path) -> None:
    """In comments and docstrings such as `[N, H, L, D]`; two letters of a product count one by one."""
    text = (ROOT / path).read_text("utf-8")
    shapes = re.findall(r"(?:`|# )\[([\w*+., ]+)\]", text)
    used = {letter for shape in shapes for letter in re.findall(r"\b([A-Z][a-z]?)\b", shape)}
    known = set(re.findall(r"`([A-Z][a-z]?)`", LEGENDS[path]))
    assert used <= known
