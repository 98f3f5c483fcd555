"""Where a run is stored by default."""

from pathlib import Path

import pytest

from translator.config import load_config, prepared_directory, run_directory


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (["run=here"], "here"),
        (["data.train=corpus/train.{en,de}"], "runs/en-de"),
        (["data.train=corpus/train.{en,de}.gz", "data.source_language=cs", "data.target_language=sk"], "runs/cs-sk"),
        (["data.train=a.tsv", "data.source_language=en", "data.target_language=fr"], "runs/en-fr"),
        (["data.train=a.tsv"], "runs/default"),
    ],
)
def test_the_run_is_named_by_its_languages(settings: list[str], expected: str) -> None:
    config = load_config(None, settings)
    assert run_directory(config) == Path(expected)
    assert prepared_directory(config) == Path(expected) / "prepared"
    assert prepared_directory(load_config(None, [*settings, "data.prepared=else"])) == Path("else")
