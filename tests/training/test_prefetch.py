"""Batches made ahead in a thread: the same batches in the same order, errors passed on, and a thread that ends."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from translator.attention import pack
from translator.config import load_config
from translator.data.batches import Batch
from translator.errors import DataError
from translator.training import train
from translator.training.batch_loader import BatchLoader
from translator.training.prefetch import Prefetch
from translator.training.step_batches import batches_of_steps
from translator.training.trainer import Trainer
from translator.training.update import Updater

Call = Callable[..., tuple[int, str, str]]


def loaders() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "batches"]


def test_items_come_in_order_while_the_next_are_made() -> None:
    made: list[tuple[int, str]] = []
    third = threading.Event()

    def items() -> Iterator[int]:
        for index in range(5):
            made.append((index, threading.current_thread().name))
            if index == 2:
                third.set()
            yield index

    prefetch = Prefetch(items())
    assert not made and not loaders()
    assert next(prefetch) == 0
    # Without anybody asking for them: one waits, one is being handed over.
    assert third.wait(10)
    assert list(prefetch) == [1, 2, 3, 4]
    assert {name for _, name in made} == {"batches"}
    prefetch.close()
    assert not loaders()


def test_an_error_in_the_thread_is_raised_in_its_place_and_again() -> None:
    def items() -> Iterator[int]:
        yield 7
        raise DataError("the file is gone")

    with Prefetch(items()) as prefetch:
        assert next(prefetch) == 7
        for _ in range(2):
            with pytest.raises(DataError, match="the file is gone"):
                next(prefetch)
    assert not loaders()


@pytest.mark.parametrize("taken", [0, 1, 3])
def test_a_thread_that_waits_to_deliver_ends_when_it_is_closed(taken: int) -> None:
    def endless() -> Iterator[int]:
        while True:
            yield 1

    prefetch = Prefetch(endless())
    for _ in range(taken):
        next(prefetch)
    prefetch.close()
    assert not loaders()
    assert list(prefetch) == []


def test_batches_are_made_beside_the_step_and_a_fault_there_reaches_the_user(
    settings_file: Path, call_program: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    load, threads = BatchLoader.load, set()

    def failing(self: BatchLoader, planned: Any) -> Batch:
        if planned.end.epoch == 1:
            raise DataError("train.arrow is damaged, says the test")
        if planned.end.batches:
            threads.add(threading.current_thread().name)
        return load(self, planned)

    monkeypatch.setattr(BatchLoader, "load", failing)
    code, _, errors = call_program("train", settings_file)
    assert code == 1 and "error: train.arrow is damaged, says the test" in errors and "Traceback" not in errors
    assert threads == {"batches"}
    assert not loaders()


def test_an_interrupt_ends_the_thread(settings_file: Path, call_program: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    update = Updater.__call__

    def interrupted(self: Updater, batches: Any) -> Any:
        assert loaders()
        os.kill(os.getpid(), signal.SIGTERM)
        return update(self, batches)

    monkeypatch.setattr(Updater, "__call__", interrupted)
    code, _, errors = call_program("train", settings_file)
    assert code == 143 and "stopped by SIGTERM after step 1" in errors
    assert not loaders()


def test_what_was_made_ahead_is_not_counted_as_done(settings_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The position that is saved is that of the last update, not of the last batch that was made."""
    trained: list[list[int]] = []
    begin = Trainer._begin_step

    def noting(self: Trainer) -> Any:
        batches, indices = begin(self)
        trained.append(np.concatenate(indices).tolist())
        return batches, indices

    monkeypatch.setattr(Trainer, "_begin_step", noting)
    run = f"run={settings_file.parent / 'whole'}"
    train(load_config(settings_file, ["training.max_steps=7", "training.validate_every=3", run]))
    whole, parts = trained[:], []
    for steps in (3, 4, 7):
        trained.clear()
        train(load_config(settings_file, [f"training.max_steps={steps}", "training.validate_every=3"]))
        parts += trained
    assert parts == whole


def test_batches_are_pinned_for_cuda_only(settings_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pinned: list[int] = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: pinned.append(id(self)) or self)
    side = pack([[1, 2], [3]])
    batch = Batch(np.arange(2), side, pack([[4], [5, 6]]), torch.arange(3))
    assert batch.pin_memory().target.tokens is batch.target.tokens
    tensors = [batch.source.tokens, batch.source.layout.offsets, batch.target.tokens, batch.target.layout.offsets]
    assert sorted(pinned) == sorted(map(id, [*tensors, batch.labels]))
    begin, counts = Trainer._begin_step, []

    def once(self: Trainer) -> Any:
        for device in ("cpu", "cuda"):
            pinned.clear()
            position = self.progress.data_position
            made = next(batches_of_steps(self.batches, position, 0, 1, self.world, torch.device(device)))
            counts.append(len(pinned) / len(made.batches))
        return begin(self)

    monkeypatch.setattr(Trainer, "_begin_step", once)
    train(load_config(settings_file, ["training.max_steps=1"]))
    assert counts == [0, 5]
