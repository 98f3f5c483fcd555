"""Requests share batches, in turn, within bounds, and one that fails does not take others with it."""

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from translator.serving.batcher import Batcher, QueueFullError, StoppedError
from translator.translation import TranslatedLine, Translation

BATCH_LINES = 32


class Upper:
    """Translates into capitals, and waits before its first batch."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.started = threading.Event()
        self.batches: list[tuple[list[str], Any]] = []

    def __call__(self, lines: Sequence[Any], options: Any) -> list[TranslatedLine]:
        self.started.set()
        assert self.gate.wait(30)
        self.batches.append((list(lines), options))
        if "bad" in lines:
            raise ValueError("bad")
        return [TranslatedLine(line, (Translation(line.upper()),)) for line in lines]


def texts(future: Any) -> list[str]:
    return [line.text for line in future.result(30)]


def make(translate: Upper, queue_characters: int = 0) -> Batcher:
    return Batcher(translate, window=0.0, queue_characters=queue_characters)


def test_what_waits_is_one_batch_for_each_set_of_options() -> None:
    translate = Upper()
    batcher = make(translate)
    first = batcher.submit(["a"], 1)
    assert translate.started.wait(30)
    rest = [batcher.submit(lines, options) for lines, options in ((["b", "c"], 1), (["d"], 2), (["e"], 1))]
    translate.gate.set()
    assert [texts(own) for own in (first, *rest)] == [["A"], ["B", "C"], ["D"], ["E"]]
    assert translate.batches == [(["a"], 1), (["b", "c", "e"], 1), (["d"], 2)]
    assert batcher.waiting_characters == batcher.waiting_requests == 0


def test_a_long_document_shares_batches() -> None:
    translate = Upper()
    batcher = make(translate)
    long = [f"line {index}" for index in range(3 * BATCH_LINES)]
    document = batcher.submit(long, 1)
    assert translate.started.wait(30)
    sentence = batcher.submit(["a"], 1)
    translate.gate.set()
    assert texts(sentence) == ["A"]
    assert texts(document) == [line.upper() for line in long]
    assert [len(lines) for lines, _ in translate.batches][:2] == [BATCH_LINES, BATCH_LINES // 2 + 1]


def test_a_request_that_fails_fails_alone() -> None:
    translate = Upper()
    batcher = make(translate)
    first = batcher.submit(["a"], 1)
    assert translate.started.wait(30)
    bad, good = batcher.submit(["bad"], 1), batcher.submit(["b"], 1)
    translate.gate.set()
    assert texts(first) == ["A"] and texts(good) == ["B"]
    with pytest.raises(ValueError, match="bad"):
        bad.result(30)
    assert batcher.waiting_requests == 0


def test_the_queue_is_bounded_and_cancelled_lines_leave_it() -> None:
    translate = Upper()
    batcher = make(translate, queue_characters=10)
    first = batcher.submit(["a longer line than the queue"], 1)  # taken, because it is alone
    assert translate.started.wait(30)
    with pytest.raises(QueueFullError):
        batcher.submit(["b"], 1)
    translate.gate.set()
    assert texts(first) == ["A LONGER LINE THAN THE QUEUE"]
    translate.gate.clear()
    translate.started.clear()
    second, third = batcher.submit(["c"], 1), None
    assert translate.started.wait(30)
    third = batcher.submit(["d"], 1)
    assert third.cancel()
    translate.gate.set()
    assert texts(second) == ["C"]
    batcher.stop()
    batcher.join()
    assert ["d"] not in [lines for lines, _ in translate.batches]
    assert batcher.waiting_characters == 0


def test_a_stopped_batcher_finishes_its_queue_and_takes_no_more() -> None:
    translate = Upper()
    batcher = make(translate)
    first = batcher.submit(["a"], 1)
    batcher.stop()
    with pytest.raises(StoppedError):
        batcher.submit(["b"], 1)
    translate.gate.set()
    assert texts(first) == ["A"]
    batcher.join()


def test_coroutines_wait_for_their_lines_and_one_that_is_cancelled_gives_them_up() -> None:
    translate = Upper()
    batcher = make(translate)

    async def check() -> None:
        first = asyncio.create_task(batcher.translate(["a"], 1))
        assert await asyncio.to_thread(translate.started.wait, 30)
        waiting = [asyncio.create_task(batcher.translate(lines, 1)) for lines in (["b", "c"], ["gone"], ["bad"], [])]
        await asyncio.sleep(0)
        waiting[1].cancel()
        translate.gate.set()
        assert [line.text for line in await first] == ["A"]
        found = await asyncio.gather(*waiting, return_exceptions=True)
        assert [line.text for line in found[0]] == ["B", "C"]
        assert isinstance(found[1], asyncio.CancelledError) and isinstance(found[2], ValueError)
        assert found[3] == []

    asyncio.run(check())
    assert not any("gone" in lines for lines, _ in translate.batches)


def test_a_loop_that_has_ended_does_not_end_the_batcher() -> None:
    translate = Upper()
    batcher = make(translate)

    async def leave() -> None:
        task = asyncio.create_task(batcher.translate(["a"], 1))
        assert await asyncio.to_thread(translate.started.wait, 30)
        task.cancel()

    asyncio.run(leave())
    translate.gate.set()
    assert texts(batcher.submit(["b"], 1)) == ["B"]
