"""Jobs of several processes: what they tell each other, and how all of them end when one does."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.patience import PATIENCE
from translator.distributed.launch import launch
from translator.distributed.world import World, join_world
from translator.errors import DeviceError

SCRIPT = Path(__file__).with_name("job.py")
Start = Callable[..., list[subprocess.Popen[str]]]


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # What nobody has waited for is dead all the same.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def pids_in(directory: Path, size: int) -> list[int]:
    """The processes, once all of them are at work."""
    files = [directory / f"pid-{rank}" for rank in range(size)]
    wait_for(lambda: all(file.exists() and file.read_text() for file in files))
    return [int(file.read_text()) for file in files]


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Start our launcher, in a process group of its own as a shell does, with two processes."""
    started: list[subprocess.Popen[str]] = []

    def start(scenario: str) -> subprocess.Popen[str]:
        program = "from translator.distributed.launch import launch"
        command = [f"import sys; {program}; sys.exit(launch(2, 'cpu', sys.argv[1:]))"]
        environment = {**os.environ, "PYTHONPATH": str(SCRIPT.parents[2])}
        environment.pop("OMP_NUM_THREADS", None)
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", *command, str(SCRIPT), str(tmp_path), scenario],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )  # fmt: skip
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_process_alone_talks_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    with join_world() as world:
        assert (world.rank, world.size, world.is_main) == (0, 1, True)
        assert world.sum([3, 0.5]) == [3.0, 0.5]
        assert world.gather("x") == ["x"]
        assert world.divide("abc", lambda items: [item.upper() for item in items]) == ["A", "B", "C"]
        assert world.main_first(lambda: 5) == 5 == world.from_main(lambda: 5)
        world.barrier()
    # Errors are the caller's business.
    with pytest.raises(ValueError, match="reason"), join_world():
        raise ValueError("reason")


def test_processes_talk_until_one_fails(start_ranks: Start, tmp_path: Path) -> None:
    processes = start_ranks(3, SCRIPT, tmp_path, "talk")
    outputs = [process.communicate(timeout=PATIENCE) for process in processes]
    ended = time.time()
    for rank in range(3):
        assert json.loads((tmp_path / f"talk-{rank}.json").read_text()) == {
            "was there": rank > 0,
            "again": rank,
            "from main": {"rank": 0},
            "sum": [3.0, 3 * 2**-30, 3 * 2**40 + 3],
            "gathered": [{"rank": 0}, {"rank": 1}, {"rank": 2}],
            "divided": [[[item * item, item % 3] for item in range(count)] for count in (0, 1, 7)],
            "device": "cpu",
            "main": rank == 0,
            "joined twice": False,
        }
    # All end soon, and the only error that is printed is the first.
    assert ended - (tmp_path / "failed").stat().st_mtime < 15
    assert [process.returncode for process in processes] == [1, 1, 1]
    assert [output for output, _ in outputs] == [""] * 3
    errors = [errors for _, errors in outputs]
    assert errors[0] == errors[2] == ""
    assert errors[1].startswith("error: rank 1 failed:\nTraceback (most recent call last):\n")
    assert errors[1].endswith("\nValueError: the reason\n") and errors[1].count("Traceback") == 1


@pytest.mark.slow
def test_torchrun_starts_again_what_has_failed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["--max-restarts", "1", str(SCRIPT), str(tmp_path), "restart"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(SCRIPT.parents[2])}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=PATIENCE)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "completed").read_text() == "1"
    assert result.stderr.count("error: rank 1: train.de is damaged\n") == 1 and "Traceback" not in result.stderr


@pytest.mark.skipif(not Path("/proc/self/ns/pid").exists(), reason="which processes are alive is read from /proc")
def test_a_killed_process_ends_the_others(launcher: Callable[[str], subprocess.Popen[str]], tmp_path: Path) -> None:
    process = launcher("wait")
    pids = pids_in(tmp_path, 2)
    began = time.monotonic()
    os.kill(pids[1], signal.SIGKILL)
    output, errors = process.communicate(timeout=PATIENCE)
    assert time.monotonic() - began < 15
    assert (process.returncode, output) == (1, "")
    assert "the process of rank 1 was ended by SIGKILL" in errors and errors.count("\n") == 1
    assert not any(is_alive(pid) for pid in pids)


@pytest.mark.skipif(not Path("/proc/self/ns/pid").exists(), reason="which processes are alive is read from /proc")
def test_without_our_launcher_another_process_says_that_one_was_killed(start_ranks: Start, tmp_path: Path) -> None:
    processes = start_ranks(3, SCRIPT, tmp_path, "wait")
    os.kill(pids_in(tmp_path, 3)[2], signal.SIGKILL)
    errors = "".join(process.communicate(timeout=PATIENCE)[1] for process in processes)
    assert [process.returncode for process in processes] == [1, 1, -signal.SIGKILL]
    assert errors == (
        "error: the process of rank 2 was killed, perhaps for lack of memory; the same command continues from what was "
        "saved\n"
    )


def test_a_signal_lets_all_processes_save(launcher: Callable[[str], subprocess.Popen[str]], tmp_path: Path) -> None:
    process = launcher("save")
    pids_in(tmp_path, 2)
    # To the whole group, as a terminal does: the processes must not get it twice.
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=PATIENCE) == ("", "")
    assert process.returncode == 130
    # They share the cores.
    threads = str(max(1, len(os.sched_getaffinity(0)) // 2))
    assert [(tmp_path / f"saved-{rank}").read_text() for rank in range(2)] == [threads, threads]


def test_processes_do_not_outlive_their_launcher(
    launcher: Callable[[str], subprocess.Popen[str]], tmp_path: Path
) -> None:
    process = launcher("wait")
    pids = pids_in(tmp_path, 2)
    process.kill()
    wait_for(lambda: not any(is_alive(pid) for pid in pids))


def test_more_processes_than_devices_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    with pytest.raises(DeviceError, match="3 were asked for, but PyTorch sees 2 CUDA devices"):
        launch(3, "cuda", [])
    with pytest.raises(DeviceError, match=r"process 3 of this machine finds only 2 CUDA devices.*devices=2"):
        World(rank=2, local_rank=2, size=3).device("cuda")
