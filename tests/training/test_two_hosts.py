"""Two machines under torchrun: network namespaces with a link between them, which share a directory only."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

import translator
from tests.patience import PATIENCE
from translator.checkpoints import RunDirectory, read_checkpoint

ADDRESSES = ("10.214.77.1", "10.214.77.2")
PORT = 29611
SETTINGS = (
    "model.dropout=0", "precision=fp32", "training.adam_epsilon=1e-3", "training.validation_sentences=4", "threads=1",
)  # fmt: skip
Host = Callable[..., "subprocess.Popen[str]"]

pytestmark = pytest.mark.slow


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@pytest.fixture(scope="module")
def hosts() -> Iterator[list[str]]:
    """The names of two network namespaces, each with one end of a virtual cable."""
    if sys.platform != "linux" or os.geteuid() != 0 or None in map(shutil.which, ("ip", "unshare")):
        pytest.skip("network namespaces need Linux, root and the commands `ip` and `unshare`")
    names = [f"translator-{os.getpid()}-{number}" for number in (0, 1)]
    cables = [f"tr{os.getpid()}{end}" for end in "ab"]
    try:
        try:
            for name in names:
                ip("netns", "add", name)
            ip("link", "add", cables[0], "type", "veth", "peer", "name", cables[1])
        except subprocess.CalledProcessError as error:
            pytest.skip(f"network namespaces cannot be made here: {error.stderr.strip()}")
        for name, cable, address in zip(names, cables, ADDRESSES, strict=True):
            ip("link", "set", cable, "netns", name)
            ip("-n", name, "link", "set", cable, "name", "link0")
            ip("-n", name, "addr", "add", f"{address}/24", "dev", "link0")
            ip("-n", name, "link", "set", "link0", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)
        subprocess.run(["ip", "link", "delete", cables[0]], capture_output=True)


@pytest.fixture
def start(hosts: list[str]) -> Iterator[Callable[..., list["subprocess.Popen[str]"]]]:
    """Start the program on both hosts, as a person does: the same torchrun command on each."""
    started = []

    def start_both(*words: object) -> list["subprocess.Popen[str]"]:
        environment = {
            **os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "link0", "PYTHONSAFEPATH": "1",
            "PYTHONPATH": str(Path(translator.__file__).parents[1]),
        }  # fmt: skip
        for rank, name in enumerate(hosts):
            command = [
                "ip", "netns", "exec", name, "unshare", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc",
                "sh", "-c", 'hostname "$0"; exec "$@"', f"host{rank}",
                sys.executable, "-m", "torch.distributed.run", "--nnodes", "2",
                "--node-rank", str(rank), "--nproc-per-node", "1", "--master-addr", ADDRESSES[0],
                "--master-port", str(PORT), "-m", "translator", *map(str, words),
            ]  # fmt: skip
            pipe = subprocess.PIPE
            started.append(subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True))
        return started[-2:]

    yield start_both
    for process in started:
        process.kill()  # with it, all processes of its namespace
        process.communicate()


def finish(processes: list["subprocess.Popen[str]"]) -> list[str]:
    written = [process.communicate(timeout=PATIENCE) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], written
    return [errors for _, errors in written]


def test_a_training_on_two_hosts_is_that_of_one(
    settings_file: Path, start: Callable[..., list["subprocess.Popen[str]"]], call_program: Callable[..., object]
) -> None:
    directory = settings_file.parent
    common = ("train", settings_file, *SETTINGS, f"data.prepared={directory / 'prepared'}")
    assert call_program(*common, f"run={directory / 'alone'}", "training.accumulate=2")[0] == 0  # type: ignore[index]
    errors = finish(start(*common, f"run={directory / 'both'}"))
    assert "2 processes" in errors[0]
    alone, both = (read_checkpoint(RunDirectory(directory / name).checkpoint(12)) for name in ("alone", "both"))
    for name, weight in alone.weights.items():
        torch.testing.assert_close(both.weights[name], weight, atol=2e-5, rtol=1e-4)
    assert both.state["target_tokens"] == alone.state["target_tokens"]


def test_a_host_dies_and_the_other_continues_the_run(
    settings_file: Path, start: Callable[..., list["subprocess.Popen[str]"]], call_program: Callable[..., object]
) -> None:
    run = settings_file.parent / "run"
    words = ("train", settings_file, *SETTINGS, "training.validate_every=20")
    first, second = start(*words, "training.max_steps=100000")
    deadline = time.monotonic() + PATIENCE
    while not RunDirectory(run).steps() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert RunDirectory(run).steps(), first.communicate(timeout=10)
    second.kill()
    _, errors = first.communicate(timeout=PATIENCE)
    assert first.returncode != 0
    assert "error: rank 0: another process of the job no longer answers" in errors, errors
    saved = RunDirectory(run).steps()[-1]
    code, _, errors = call_program(*words, f"training.max_steps={saved + 20}")  # type: ignore[misc]
    assert code == 0 and f"resuming after step {saved:,}" in errors


def test_two_hosts_write_one_synthetic_corpus(
    tiny_run: Path,
    tmp_path: Path,
    start: Callable[..., list["subprocess.Popen[str]"]],
    call_program: Callable[..., object],
) -> None:
    text = tmp_path / "mono.en"
    text.write_text("".join(f"the dog sleeps in house {number}.\n" for number in range(60)))
    words = ("synthesize", tiny_run, "--input", text, "--shard-lines", 10, "--engine", "native", "--set", "threads=1")
    assert call_program(*words, "--output", tmp_path / "alone")[0] == 0  # type: ignore[index]
    finish(start(*words, "--output", tmp_path / "both"))
    parts = sorted(path.name for path in (tmp_path / "alone").glob("part-*"))
    assert len(parts) == 6
    for part in parts:
        assert (tmp_path / "both" / part).read_bytes() == (tmp_path / "alone" / part).read_bytes()


def test_two_hosts_prepare_the_data_of_one(
    tmp_path: Path, start: Callable[..., list["subprocess.Popen[str]"]], call_program: Callable[..., object]
) -> None:
    entries = []
    for number in range(4):
        entries.append(f"{{path: '{tmp_path}/{number}.{{en,de}}'}}")
        for language, noun in (("en", "dog"), ("de", "Hund")):
            text = "".join(f"{number} {noun} {line}\n" for line in range(100 + number))
            (tmp_path / f"{number}.{language}").write_text(text)
    train = f"data.train=[{', '.join(entries)}]"
    words = ("data", "prepare", train, "tokenizer.vocab_size=320", "data.workers=1", "preset=tiny")
    assert call_program(*words, f"data.prepared={tmp_path / 'alone'}")[0] == 0  # type: ignore[index]
    errors = finish(start(*words, f"data.prepared={tmp_path / 'both'}"))
    assert "training pairs: 406 read" in errors[0] and "training pairs" not in errors[1]
    alone, both = ({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in ("alone", "both"))
    assert len(alone) == 11 and alone == both


def test_two_hosts_translate_the_lines_of_one_which_finishes_if_the_other_dies(
    tiny_run: Path,
    tmp_path: Path,
    start: Callable[..., list["subprocess.Popen[str]"]],
    call_program: Callable[..., object],
) -> None:
    text = tmp_path / "mono.en"
    text.write_text("".join(f"the dog sleeps in house {number}.\n" for number in range(3000)))
    words = ("translate", tiny_run, text, "--engine", "native", "--set", "threads=1")
    expected, output = tmp_path / "alone.de", tmp_path / "both.de"
    assert call_program(*words, "--output", expected)[0] == 0  # type: ignore[index]
    first, second = start(*words, "--output", output)
    deadline = time.monotonic() + PATIENCE
    while not any(file.stat().st_size for file in tmp_path.glob(".both.de.*.unfinished")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    second.kill()
    _, errors = first.communicate(timeout=PATIENCE)
    assert first.returncode != 0
    assert "error: rank 0: another process of the job no longer answers" in errors, errors
    assert not output.exists()
    errors = "".join(finish(start(*words, "--output", output)))
    assert "resuming" in errors
    assert output.read_bytes() == expected.read_bytes()
