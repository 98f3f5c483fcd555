"""The comparison of heads has the paper's rows at any width."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    """The script, loaded by path since scripts/ is not a package."""
    sys.path.insert(0, str(FOLDER))
    try:
        spec = importlib.util.spec_from_file_location("compare_heads", FOLDER / "compare_heads.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["compare_heads"] = module
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(FOLDER))


@pytest.mark.parametrize("d_model", [128, 512])
def test_rows_are_those_of_the_paper(script: ModuleType, d_model: int) -> None:
    shapes = script.shapes(d_model)
    row_a = [(heads, width) for row, heads, width in shapes if row == "A"]
    assert [heads for heads, _ in row_a] == [1, 4, 8, 16, 32]
    assert all(heads * width == d_model for heads, width in row_a)
    base = dict(row_a)[8]
    assert [(heads, width) for row, heads, width in shapes if row == "B"] == [(8, base // 2), (8, base // 4)]


def test_the_table_has_means_and_spreads(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shapes = script.shapes(128)
    runs = [
        {"loss": 3.0 + seed, "valid": 30.0, "test": 31.0 + 2 * seed, "minutes": 4.0, "parameters": 1000.0}
        for seed in (0, 1)
    ]
    found = {shape: runs for shape in shapes}
    script.print_table(found, dict.fromkeys(shapes, 1.25))
    rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 2 + len(shapes)
    assert rows[2] == "| A | 1 | 128 | 1,000 | 3.500 ± 0.500 | 30.00 ± 0.00 | 32.00 ± 1.00 | 1.25 | 4.0 ± 0.0 |"
    pytest.importorskip("matplotlib")
    script.draw(found, tmp_path / "plot.svg")
    assert (tmp_path / "plot.svg").read_text().startswith("<?xml")
