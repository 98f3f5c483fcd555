"""`translator plot`: the picture is in the run directory by default, and its path is printed."""

from collections.abc import Callable
from pathlib import Path

from translator.training.metrics_log import MetricsLog


def test_the_path_of_the_picture_is_printed(tmp_path: Path, call_program: Callable[..., tuple[int, str, str]]) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        MetricsLog(tmp_path / name / "metrics.jsonl").write("train", step=1, loss=2.0, nll=1.0)
    for arguments, picture in (
        ((tmp_path / "one",), tmp_path / "one" / "plot.png"),
        ((tmp_path / "two", tmp_path / "one"), tmp_path / "two" / "plot.png"),
        ((tmp_path / "one", "--output", tmp_path / "all.svg"), tmp_path / "all.svg"),
    ):
        code, out, _ = call_program("plot", *arguments)
        assert (code, out) == (0, f"{picture}\n")
        assert picture.stat().st_size > 1000


def test_a_directory_that_is_no_run_is_explained(
    tmp_path: Path, call_program: Callable[..., tuple[int, str, str]]
) -> None:
    code, out, err = call_program("plot", tmp_path)
    assert (code, out) == (1, "")
    assert "expected a run directory" in err
