"""Files of numbers contain the weights bit for bit, and can be read without pickle."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.inspection.made_up import HOSTILE, made_up_maps
from translator.config import KINDS, Head
from translator.errors import DataError, TranslatorError
from translator.inspection import AttentionMaps, inspect_sentence, numbers
from translator.inspection.numbers import write_numbers
from translator.translation import Translator

TEXTS = ("run", "source_text", "target_text")
PIECES = ("source", "target", "predicted")


def read(path: Path) -> dict[str, Any]:
    """The contents of a file by name; arrays of JSON in the documented precision."""
    if path.suffix.lower() == ".npz":
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    content = json.loads(path.read_text(encoding="utf-8"))
    return {
        name: np.array(value, dtype=np.float32 if name.startswith(KINDS) else None) for name, value in content.items()
    }


def check_equal(found: dict[str, Any], maps: AttentionMaps) -> None:
    layers = {f"{kind}.{layer}": weights for kind in KINDS for layer, weights in enumerate(maps.weights[kind], start=1)}
    assert set(found) == {"version", *TEXTS, *PIECES, "alignment_head", *layers}
    assert int(found["version"]) == 1
    assert found["alignment_head"] == str(maps.alignment_head or "")
    for name in TEXTS:
        assert str(found[name]) == getattr(maps, name)
    for name in PIECES:
        assert found[name].dtype.kind == "U" and tuple(found[name].tolist()) == getattr(maps, name)
    for name, weights in layers.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], weights)
    for head in maps.heads():
        np.testing.assert_array_equal(found[f"{head.kind}.{head.layer}"][head.head - 1], maps.of(head))


MADE_UP = {
    "plain": made_up_maps(),
    "heads by layer": made_up_maps(heads=((3, 1, 2), (1, 4, 1), (2, 2, 5)), alignment_head=Head("cross", 3, 5)),
    "hostile": made_up_maps(HOSTILE, HOSTILE[::-1], tag="<2de>", seed=3),
    "one piece": made_up_maps(["\u2581a"], ["\u2581b"]),
}


@pytest.mark.parametrize("ending", [".npz", ".json", ".NPZ", ".Json"])
@pytest.mark.parametrize("maps", MADE_UP.values(), ids=MADE_UP)
def test_everything_comes_back(tmp_path: Path, maps: AttentionMaps, ending: str) -> None:
    path = tmp_path / "new" / f"attention{ending}"
    assert write_numbers(maps, path) == path
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    check_equal(read(path), maps)


@pytest.mark.parametrize("ending", [".npz", ".json"])
def test_a_sentence_of_a_run_comes_back(tmp_path: Path, tiny_run: Path, ending: str) -> None:
    maps = inspect_sentence(Translator.load(tiny_run, device="cpu"), "a red dog sleeps.", "the house.")
    check_equal(read(write_numbers(maps, tmp_path / f"attention{ending}")), maps)


def test_tiny_and_exact_weights_survive_json(tmp_path: Path) -> None:
    maps = made_up_maps()
    weights = maps.weights["encoder"][0]
    odd = [0.0, 1.0, 1e-45, 1.1754944e-38, np.nextafter(np.float32(1), np.float32(0)), np.float32(0.1)]
    weights[0, 0] = odd
    check_equal(read(write_numbers(maps, tmp_path / "attention.json")), maps)


def test_the_same_maps_give_the_same_json(tmp_path: Path) -> None:
    one, two = (write_numbers(made_up_maps(), tmp_path / name).read_bytes() for name in ("a.json", "b.json"))
    assert one == two and one.endswith(b"}\n")


def test_every_name_is_documented(tmp_path: Path) -> None:
    names = read(write_numbers(made_up_maps(), tmp_path / "a.npz"))
    documented = set(re.findall(r"`([a-z_]+(?:\.1)?)`", str(numbers.__doc__)))
    assert {name for name in names if not name.endswith(".2")} <= documented


def test_what_cannot_be_written_is_explained(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.txt: expected a file name that ends in \.npz, \.json"):
        write_numbers(made_up_maps(), tmp_path / "a.txt")
    (tmp_path / "file").write_text("kept")
    with pytest.raises(TranslatorError, match="cannot be written"):
        write_numbers(made_up_maps(), tmp_path / "file" / "a.json")
    assert (tmp_path / "file").read_text() == "kept"
