"""Pairs on disk: what was written is read, without a copy, and gathered as a loop would."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from translator.data.arrow_file import DatasetWriter
from translator.data.dataset import ParallelDataset
from translator.errors import DataError

Ids = list[list[int]]

SOURCES: Ids = [[5, 6, 7], [], [8], [9, 10], [11, 12, 13, 14]]
TARGETS: Ids = [[1], [2, 3], [], [4, 5, 6], [7]]

ids = st.lists(st.integers(0, 2**31 - 1), max_size=5)
batches = st.lists(st.lists(st.tuples(ids, ids), max_size=4), max_size=4)


def write(path: Path, parts: list[tuple[Ids, Ids]], with_text: bool = False) -> ParallelDataset:
    with DatasetWriter(path, with_text) as writer:
        for number, (sources, targets) in enumerate(parts):
            texts = [f"source {number}\u2028" for _ in sources], [f"target {number}" for _ in targets]
            writer.write(sources, targets, texts if with_text else None)
    assert writer.pairs == sum(len(sources) for sources, _ in parts)
    return ParallelDataset.open(path)


def parts_of(pairs: list[list[tuple[list[int], list[int]]]]) -> list[tuple[Ids, Ids]]:
    return [([source for source, _ in part], [target for _, target in part]) for part in pairs]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(pairs=batches, with_text=st.booleans(), data=st.data())
def test_gather_equals_a_loop(
    tmp_path: Path, pairs: list[list[tuple[list[int], list[int]]]], with_text: bool, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(pairs)))
    for name, part in (("a", pairs[:cut]), ("b", pairs[cut:])):
        write(tmp_path / f"{name}.arrow", parts_of(part), with_text)
    dataset = ParallelDataset.open([tmp_path / "a.arrow", tmp_path / "b.arrow"])
    flat = [pair for part in pairs for pair in part]
    assert len(dataset) == len(flat)
    assert [dataset.source(index).tolist() for index in range(len(flat))] == [source for source, _ in flat]
    assert [dataset.target(index).tolist() for index in range(len(flat))] == [target for _, target in flat]
    assert dataset.source_lengths.tolist() == [len(source) for source, _ in flat]
    assert dataset.target_lengths.tolist() == [len(target) for _, target in flat]
    places = st.lists(st.integers(0, len(flat) - 1), max_size=9) if flat else st.just([])
    chosen = data.draw(places)
    found = dataset.gather(np.array(chosen, dtype=np.int64))
    for side, tokens, offsets in ((0, *found[:2]), (1, *found[2:])):
        expected = [flat[index][side] for index in chosen]
        assert tokens.tolist() == [piece for row in expected for piece in row]
        assert offsets.tolist() == np.cumsum([0, *map(len, expected)]).tolist()
        assert (tokens.dtype, offsets.dtype) == (np.int32, np.int64)


def test_reading_copies_nothing_and_writes_nothing(tmp_path: Path) -> None:
    dataset = write(tmp_path / "a.arrow", [(SOURCES, TARGETS), (SOURCES, TARGETS)])
    view = dataset.source(9)
    assert view.tolist() == SOURCES[4]
    assert not view.flags.owndata and not view.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 1
    root = view
    while isinstance(root.base, np.ndarray) and not isinstance(root, np.memmap):
        root = root.base
    first = view.__array_interface__["data"][0]
    mapped = np.frombuffer(dataset._files[0].buffer, np.uint8)
    begin = mapped.__array_interface__["data"][0]
    assert begin <= first < begin + mapped.nbytes == begin + (tmp_path / "a.arrow").stat().st_size
    # The bytes of the view are the bytes of the file at that offset.
    data = (tmp_path / "a.arrow").read_bytes()
    assert data[first - begin : first - begin + view.nbytes] == view.tobytes()


def test_the_file_is_mapped_not_read(tmp_path: Path) -> None:
    dataset = write(tmp_path / "a.arrow", [(SOURCES, TARGETS)])
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("this system does not list memory maps")
    assert str(tmp_path / "a.arrow") in maps.read_text()
    assert len(dataset) == 5


def test_text(tmp_path: Path) -> None:
    dataset = write(tmp_path / "a.arrow", [(SOURCES, TARGETS), (SOURCES, TARGETS)], with_text=True)
    assert dataset.text(7) == ("source 1\u2028", "target 1")
    bare = write(tmp_path / "b.arrow", [(SOURCES, TARGETS)])
    assert (dataset.has_text, bare.has_text) == (True, False)
    with pytest.raises(DataError, match="b.arrow holds pieces without their text"):
        bare.text(0)
    with pytest.raises(DataError, match="b.arrow holds pieces without their text"):
        bare.texts(np.array([0]))
    with pytest.raises(IndexError):
        dataset.texts(np.array([0, 10]))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    parts=st.lists(st.lists(st.tuples(st.text(max_size=4), st.text(max_size=4)), max_size=4), max_size=4),
    data=st.data(),
)
def test_texts_equal_a_loop(tmp_path: Path, parts: list[list[tuple[str, str]]], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(parts)))
    files = tmp_path / "a.arrow", tmp_path / "b.arrow"
    for file, own in zip(files, (parts[:cut], parts[cut:]), strict=True):
        with DatasetWriter(file, with_text=True) as writer:
            for part in own:
                ids: Ids = [[1] for _ in part]
                writer.write(ids, ids, ([source for source, _ in part], [target for _, target in part]))
    dataset = ParallelDataset.open(files)
    flat = [pair for part in parts for pair in part]
    assert [dataset.text(index) for index in range(len(flat))] == flat
    chosen = data.draw(st.lists(st.integers(0, len(flat) - 1), max_size=9) if flat else st.just([]))
    expected = [flat[index][0] for index in chosen], [flat[index][1] for index in chosen]
    assert dataset.texts(np.array(chosen, dtype=np.int64)) == expected


@pytest.mark.parametrize("index", [5, -6])
def test_pairs_that_are_not_there(tmp_path: Path, index: int) -> None:
    dataset = write(tmp_path / "a.arrow", [(SOURCES, TARGETS)])
    assert dataset.target(-1).tolist() == [7]
    with pytest.raises(IndexError):
        dataset.source(index)
    with pytest.raises(IndexError):
        dataset.gather(np.array([0, index]))


@pytest.mark.parametrize("damage", [b"", b"nonsense" * 20, None])
def test_damaged_files_are_named(tmp_path: Path, damage: bytes | None) -> None:
    file = tmp_path / "a.arrow"
    write(file, [(SOURCES, TARGETS)])
    file.write_bytes(file.read_bytes()[:-40] if damage is None else damage)
    with pytest.raises(DataError, match="a.arrow is damaged"):
        ParallelDataset.open(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file .*a.arrow; prepare the data again"):
        ParallelDataset.open(tmp_path / "a.arrow")
