"""The GPU script runs from end to end on the CPU in toy sizes, so that a lent GPU is not spent on its mistakes."""

import importlib.util
import json
from pathlib import Path

import pytest


def test_all_parts_but_the_long_ones_run_anywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(__file__).parents[2] / "scripts" / "gpu_check.py"
    spec = importlib.util.spec_from_file_location("gpu_check", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    figures = tmp_path / "figures.json"
    arguments = ["--device", "cpu", "--precision", "fp32", "--quick", "--parts", "ceilings,kernels,training"]
    assert module.main([*arguments, "--json", str(figures)]) == 0
    printed = capsys.readouterr().out
    assert "FAILS" not in printed
    assert printed.count("agrees") == 2 * 6  # as they are found, and in the table
    found = json.loads(figures.read_text())
    assert found["copy_gb_per_second"] > 0 and found["matmul_tflops"] > 0
    assert found["training_base"]["tokens_per_second"] > 0 and found["training_big"]["tokens_per_second"] > 0
    with pytest.raises(SystemExit):
        module.main(["--parts", "everything"])
