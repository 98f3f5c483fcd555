"""Prepared data replace prepared data, and nothing else, whatever `data.prepared` names."""

from collections.abc import Callable
from pathlib import Path

import pytest

from translator.config import Config
from translator.data import prepare
from translator.errors import TranslatorError

Pairs = list[tuple[str, str]]


def content(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("stranger", ["thesis.txt", "train.en", "notes/today.txt", ".hidden", "empty/"])
def test_files_that_others_put_among_prepared_data_are_not_deleted(
    tmp_path: Path, corpus: Callable[[str, Pairs], str], settings: Callable[..., Config],
    pairs: Callable[[int, int], Pairs], stranger: str,
) -> None:  # fmt: skip
    config, out = settings(train=corpus("train", pairs(0, 60))), tmp_path / "out"
    prepare(config, out)
    file = out / stranger
    file.parent.mkdir(exist_ok=True)
    file.mkdir() if stranger.endswith("/") else file.write_text("mine")
    assert len(prepare(config, out).train)  # Nothing has to be replaced yet.
    corpus("train", pairs(0, 50))
    before = content(tmp_path)
    with pytest.raises(TranslatorError, match=rf"out holds what we did not write \({stranger.partition('/')[0]}"):
        prepare(config, out)
    assert content(tmp_path) == before and file.exists()


@pytest.mark.parametrize("manifest", ["{}", "[]", '{"name": "an app", "files": {}}', '{"files": ["a"]}', "x"])
def test_the_manifest_of_another_program_makes_nothing_ours(
    tmp_path: Path, corpus: Callable[[str, Pairs], str], settings: Callable[..., Config],
    pairs: Callable[[int, int], Pairs], manifest: str,
) -> None:  # fmt: skip
    config, out = settings(train=corpus("train", pairs(0, 60))), tmp_path / "out"
    out.mkdir()
    (out / "manifest.json").write_text(manifest)
    before = content(tmp_path)
    with pytest.raises(TranslatorError, match="out holds what we did not write"):
        prepare(config, out)
    assert content(tmp_path) == before


@pytest.mark.parametrize("where", ["run", ".", "run/models", "run/models/final", "run/checkpoints", "run/exports/x"])
def test_prepared_data_are_not_mixed_with_a_run(
    tmp_path: Path, corpus: Callable[[str, Pairs], str], settings: Callable[..., Config],
    pairs: Callable[[int, int], Pairs], where: str,
) -> None:  # fmt: skip
    prepared = tmp_path / "work" / where
    config = settings(train=corpus("train", pairs(0, 60)), prepared=str(prepared))
    config = config.model_copy(update={"run": str(tmp_path / "work" / "run")})
    with pytest.raises(TranslatorError, match="data.prepared: .* holds the run .*, or is a part of it"):
        prepare(config, prepared)
    assert not (tmp_path / "work").exists()


def test_a_link_that_the_user_names_is_followed(
    tmp_path: Path, corpus: Callable[[str, Pairs], str], settings: Callable[..., Config],
    pairs: Callable[[int, int], Pairs],
) -> None:  # fmt: skip
    (tmp_path / "big").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "big")
    config = settings(train=corpus("train", pairs(0, 60)), prepared=str(link))
    for size in (60, 50):
        corpus("train", pairs(0, size))
        assert prepare(config, link).directory == link
        assert link.is_symlink() and (tmp_path / "big" / "manifest.json").is_file()
