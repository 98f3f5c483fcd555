"""Processes that prepare data: results in order, errors as they were raised, and the same bytes for any number."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.patience import PATIENCE
from translator.config import Config
from translator.data import prepare, workers
from translator.data.workers import Workers, blocks_of
from translator.errors import DataError

Pairs = list[tuple[str, str]]
MakePairs = Callable[[int, int], Pairs]
Write = Callable[[str, Pairs], str]
Settings = Callable[..., Config]


class Job:
    """What the workers of a test do: the name of a built-in function of numbers."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __reduce__(self) -> Any:
        # The workers import no tests, so a job of theirs is made of the library alone.
        import operator

        jobs = {"double": operator.methodcaller("__mul__", 2), "fail": operator.methodcaller("missing")}
        return jobs[self.kind].__reduce__()

    def __call__(self, item: int) -> int:
        return item * 2


@pytest.mark.parametrize("count", [1, 2, 3])
def test_results_come_in_order_whoever_makes_them(count: int) -> None:
    with Workers(count) as pool:
        assert list(pool.map(Job("double"), range(40))) == [2 * item for item in range(40)]
        # The processes take another job after it, and items in the middle of which nobody asks any more.
        found = pool.map(Job("double"), range(10**9))
        assert [next(found) for _ in range(30)] == [2 * item for item in range(30)]
        assert len(pool._workers) == (0 if count == 1 else count)


def test_processes_of_one_machine_share_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "cores", lambda: 12)
    assert [Workers(sharing=sharing).count for sharing in (1, 2, 5, 20)] == [8, 6, 2, 1]
    assert Workers(3, sharing=4).count == 3


def test_a_small_corpus_starts_no_process() -> None:
    with Workers(2) as pool:
        assert list(pool.map(Job("double"), range(4))) == [0, 2, 4, 6]
        assert not pool._workers


def test_errors_of_a_process_are_raised_and_its_death_is_named() -> None:
    with Workers(2) as pool, pytest.raises(AttributeError, match="missing"):
        list(pool.map(Job("fail"), range(9)))
    with Workers(2) as pool:
        found = pool.map(Job("double"), range(10**9))
        for _ in range(6):
            next(found)
        for worker in pool._workers:
            os.kill(worker._process.pid, signal.SIGKILL)
        with pytest.raises(DataError, match=r"has died \(exit status -9\); if host memory ran out, set data.workers=1"):
            list(found)


def test_processes_end_with_the_one_that_started_them() -> None:
    script = (
        "import operator, os, signal\n"
        "from translator.data.workers import Workers\n"
        "pool = Workers(2)\n"
        "found = pool.map(operator.methodcaller('bit_length'), range(10**9))\n"
        "print(*[next(found) for _ in range(6)], len(pool._workers), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    # They have the same stderr, a pipe that is read until the last of them has ended.
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE)
    assert (done.stdout, done.returncode) == ("0 1 2 2 3 3 2\n", -signal.SIGKILL)


def test_the_same_bytes_with_any_number_of_workers(
    tmp_path: Path, corpus: Write, settings: Settings, pairs: MakePairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("scanned", "encoding"):
        monkeypatch.setattr(sys.modules[f"translator.data.{module}"], "blocks_of", lambda items: blocks_of(items, 16))
    bad = [("", "leer"), ("Tom", "tom"), ("dog " * 40, "Hund"), ("KÃ¶ln", "Köln"), *pairs(3, 20)]
    train = corpus("train", [*pairs(0, 90), *bad, *pairs(100, 50)])
    made = {}
    for count in (1, 2, 3):
        config = settings(
            {"training": {"subword_sampling": 0.1}}, train=train, valid=corpus("valid", pairs(300, 3)), workers=count,
            drop_identical=True,
        )  # fmt: skip
        prepared = prepare(config, tmp_path / str(count))
        made[count] = {file.name: file.read_bytes() for file in prepared.directory.iterdir()}
        assert prepared.manifest["counts"]["dropped"] == {
            "blank": 1, "leak": 0, "identical": 1, "mojibake": 1, "duplicate": 20, "length": 0, "length_ratio": 1,
        }  # fmt: skip
    assert made[1] == made[2] == made[3]
    assert set(made[1]) == {"train.arrow", "train.scan", "valid.arrow", "tokenizer.model", "manifest.json"}


def test_what_the_workers_do_needs_no_torch() -> None:
    # It would take each of them a second and a half, and 170 MB of host memory.
    script = "import sys, translator.data.encoding, translator.data.scanned; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "False\n"
