"""Where commands are shared by processes: started here, joined under torchrun, or neither."""

import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.patience import PATIENCE
from translator.cli.processes import shared_by_processes
from translator.config import Config
from translator.distributed.launch import PROGRAM
from translator.errors import ConfigError


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The calls of the launcher, which starts nothing, and returns 7."""
    calls: list[Any] = []

    def launch(*arguments: Any) -> int:
        calls.append(arguments)
        return 7

    monkeypatch.setattr("translator.distributed.launch.launch", launch)
    monkeypatch.setattr(sys, "argv", ["translator", "score", "runs/x"])
    monkeypatch.delenv("RANK", raising=False)
    return calls


def test_several_devices_are_processes_that_run_the_same_command(launched: list[Any]) -> None:
    with pytest.raises(typer.Exit) as ended, shared_by_processes(lambda: Config(devices=3, device="cpu")):
        pytest.fail("the block belongs to the processes that are started")
    assert ended.value.exit_code == 7
    assert launched == [(3, "cpu", [PROGRAM, "score", "runs/x"])]


def test_one_device_needs_no_other_process(launched: list[Any]) -> None:
    with shared_by_processes(lambda: Config(seed=5)) as (config, world):
        assert (config.seed, world.size, world.is_main) == (5, 1, True)
    # What is wrong with the settings is the caller's to report, as without processes.
    with pytest.raises(ConfigError), shared_by_processes(_refuse):
        pytest.fail("there are no settings")
    assert launched == []


def _refuse() -> Config:
    raise ConfigError(["threads: too many"])


def test_a_process_of_a_job_starts_no_others(launched: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    read = []

    def settings() -> Config:
        read.append(1)
        return Config(devices=3)

    with shared_by_processes(settings) as (config, world):
        assert (config.devices, world.size) == (3, 1)
    assert launched == [] and read == [1]


@pytest.mark.slow
def test_mistakes_in_settings_are_reported_once_for_all(tiny_run: Path, start_ranks: Any) -> None:
    processes = start_ranks(2, "-m", "translator", "translate", tiny_run, "--set", "beams=3")
    errors = "".join(process.communicate(timeout=PATIENCE)[1] for process in processes)
    assert [process.returncode for process in processes] == [1, 1]
    assert errors.count("decoding.beams: there is no such setting") == 1, errors
