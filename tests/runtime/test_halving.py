"""Work that runs out of memory is done again in halves, with the same results in the same order."""

import gc
import weakref

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from translator.errors import DeviceError
from translator.runtime.failures import is_out_of_memory
from translator.runtime.halving import Halving

CPU = torch.device("cpu")


class LittleMemory:
    """Work that fits only up to a number of tokens; each item is its own size."""

    def __init__(self, most: int) -> None:
        self.most, self.attempts = most, list[int]()

    def __call__(self, items: list[int]) -> list[str]:
        self.attempts.append(sum(items))
        if sum(items) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return [f"result of {item}" for item in items]


@given(items=st.lists(st.integers(1, 9), min_size=1, max_size=40), most=st.integers(9, 100))
def test_results_are_those_of_the_whole_batch(items: list[int], most: int) -> None:
    work = LittleMemory(most)
    assert Halving(CPU, "a batch", "batch_tokens")(work, items, items) == [f"result of {item}" for item in items]


def test_later_batches_are_no_larger_than_what_is_left_after_a_failure(capfd: pytest.CaptureFixture[str]) -> None:
    freed: list[None] = []
    halving, work = Halving(CPU, "a batch of pairs", "x.batch_tokens", lambda: freed.append(None)), LittleMemory(10)
    halving(work, [4] * 4, [4] * 4)
    assert work.attempts == [16, 8, 8]
    work.attempts.clear()
    halving(work, [3] * 5, [3] * 5)
    assert work.attempts == [6, 3, 6]
    assert len(freed) == 1
    message = capfd.readouterr().err
    assert message.count("out of memory in a batch of pairs of 16 tokens") == 1
    assert "Lower x.batch_tokens" in message


def test_a_single_item_that_does_not_fit_is_an_error_in_a_sentence() -> None:
    with pytest.raises(DeviceError, match=r"a batch that has a single sentence \(30 tokens\); take a smaller beam"):
        Halving(CPU, "a batch", "batch_tokens")(LittleMemory(10), [5, 30], [5, 30])


def test_other_errors_pass() -> None:
    def work(items: list[int]) -> list[int]:
        raise RuntimeError("CUDA error: device-side assert triggered")

    with pytest.raises(RuntimeError, match="device-side assert"):
        Halving(CPU, "a batch", "batch_tokens")(work, [1, 2], [1, 2])


def test_tensors_of_a_failed_attempt_are_gone_before_the_next() -> None:
    alive: list[weakref.ref[torch.Tensor]] = []

    def work(items: list[int]) -> list[int]:
        assert not any(reference() is not None for reference in alive)
        if len(items) > 1:
            tensor = torch.zeros(3)
            alive.append(weakref.ref(tensor))
            raise torch.OutOfMemoryError
        return items

    gc.disable()  # A GPU's allocator does not wait for the collection of cycles either.
    try:
        assert Halving(CPU, "a batch", "batch_tokens")(work, [1, 2, 3], [1, 1, 1]) == [1, 2, 3]
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("CUDA error: out of memory", True),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", True),
        ("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory", True),
        ("CUDA error: an illegal memory access was encountered", False),
    ],
)
def test_what_drivers_and_libraries_say_is_understood(message: str, expected: bool) -> None:
    assert is_out_of_memory(RuntimeError(message)) is expected
    assert not is_out_of_memory(ValueError(message))
