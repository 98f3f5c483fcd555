"""The benchmark of company: its table, and that the policies are what they are called."""

import importlib
from pathlib import Path

import pytest


def test_the_table_and_the_policies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    bench = importlib.import_module("scripts.bench_company")
    found = {
        ("two trainings", "ours"): [[10.0, 30.0], [20.0, 50.0], [12.0, 40.0]],
        ("two trainings", "300000"): [[1000.0, 2.0]],
    }
    assert bench.table(found, ["two trainings"], ["300000", "ours"]).splitlines() == [
        "| tokens/s | 300000 looks | ours |",
        "|---|---|---|",
        "| two trainings | 1,000 + 2 | 12 + 40 |",
    ]
    # Ours is what the package sets by itself, so that nothing is set for it.
    assert bench.environment_of("ours") == {} and bench.environment_of("0") == {"GOMP_SPINCOUNT": "0"}
    assert bench.scenes()["a training and a translation (native)"] == ["training", "native"]
