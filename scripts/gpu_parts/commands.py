"""Parts that use the program as its users do: train, be killed, resume, translate; and Multi30k to its end."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from scripts.gpu_parts.check import ROOT, Check

MULTI30K = {"train": "train", "valid": "val", "test": "test_2016_flickr"}


def sample(check: Check) -> None:
    """The sample corpus: train, SIGKILL after a checkpoint, resume to the end, translate."""
    run = check.scratch / "sample"
    shutil.rmtree(run, ignore_errors=True)
    steps = ["training.max_steps=6", "training.validate_every=2", "training.validation_sentences=4"]
    settings = steps if check.quick else ["training.validate_every=200"]
    command = ["train", "configs/sample-en-de.yaml", *_on_device(check, run), *settings]
    process = _start(check, command, "sample-train.log")
    while process.poll() is None and not any(run.glob("checkpoints/step-*")):
        if check.left < 5.0:
            process.kill()
            raise TimeoutError("no checkpoint was written in time; see sample-train.log")
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    killed = process.wait() == -signal.SIGKILL
    began = time.monotonic()
    _finish(check, command, "sample-resume.log")
    log = (check.output / "sample-resume.log").read_text(encoding="utf-8")
    check.expect("resuming after step" in log or not killed, "resumed after SIGKILL", f"killed: {killed}")
    last = _validations(run)[-1]
    note = f"validation BLEU {last['bleu']:.2f} after {last['step']:,} steps"
    check.add("sample corpus, resumed", f"{time.monotonic() - began:.0f} s", note, sample=last)
    lines = (ROOT / "data" / "test.en").read_text(encoding="utf-8").splitlines()[: 8 if check.quick else None]
    (check.scratch / "sample.en").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    began = time.monotonic()
    (check.output / "sample.de").unlink(missing_ok=True)
    words = ["translate", str(run), str(check.scratch / "sample.en"), "--output", str(check.output / "sample.de")]
    _finish(check, [*words, "--set", f"device={check.device.type}"], "sample-translate.log")
    count = (check.output / "sample.de").read_bytes().count(b"\n")
    check.expect(count == len(lines), "lines translated", f"{count} of {len(lines)}")
    check.add("translate", f"{time.monotonic() - began:.1f} s", f"{count:,} lines, start of the program included")


def multi30k(check: Check) -> None:
    """Train configs/multi30k-en-de.yaml for as long as there is time, and translate the test set."""
    folder = check.options.multi30k
    if folder is None:
        check.add("Multi30k", "left out", "needs --multi30k DIRECTORY")
        return
    run = check.scratch / "multi30k"
    settings = [f"data.{key}={Path(folder) / name}.{{en,de}}.gz" for key, name in MULTI30K.items()]
    if check.quick:
        settings += ["training.max_steps=4", "training.validate_every=2", "training.validation_sentences=4"]
        settings += ["tokenizer.vocab_size=400"]
    began = time.monotonic()
    process = _start(
        check, ["train", "configs/multi30k-en-de.yaml", *_on_device(check, run), *settings], "multi30k.log"
    )
    reserve = 30.0
    try:
        code = process.wait(timeout=max(1.0, check.left - reserve))
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGTERM)  # It saves and ends; a later call continues.
        code = process.wait(timeout=reserve)
    validations = _validations(run) if code in (0, 128 + signal.SIGTERM) else []
    if not validations:
        raise RuntimeError(f"training ended with {code} and without a validation; see multi30k.log")
    best = max(validations, key=lambda entry: float(entry["bleu"]))
    note = f"at step {best['step']:,}; {time.monotonic() - began:.0f} s here, {'ended' if code == 0 else 'stopped'}"
    check.add("Multi30k", f"validation BLEU {best['bleu']:.2f}", note, multi30k=best)


def write_corpus(folder: Path, lines: int = 40) -> None:
    """Write a corpus with the names of Multi30k from the sample corpus, for a run in toy sizes."""
    for key, name in MULTI30K.items():
        for language in ("en", "de"):
            text = (ROOT / "data" / f"{key}.{language}").read_text(encoding="utf-8").splitlines()[:lines]
            with gzip.open(folder / f"{name}.{language}.gz", "wt", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in text)


def _on_device(check: Check, run: Path) -> list[str]:
    return [f"run={run}", f"device={check.device.type}", f"precision={check.machine.precision}"]


def _start(check: Check, words: list[str], log: str) -> subprocess.Popen[bytes]:
    """Start `translator WORDS`, whose stderr goes to a file of the output."""
    check.output.mkdir(parents=True, exist_ok=True)
    with (check.output / log).open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "translator", *words], cwd=ROOT, stdout=file, stderr=file,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip


def _finish(check: Check, words: list[str], log: str) -> None:
    process = _start(check, words, log)
    try:
        code = process.wait(timeout=max(1.0, check.left))
    finally:
        process.kill()
    if code:
        end = (check.output / log).read_text(encoding="utf-8", errors="replace")[-500:]
        raise RuntimeError(f"translator {words[0]} ended with {code}: {end}")


def _validations(run: Path) -> list[dict[str, Any]]:
    """Step, loss and BLEU of every validation so far."""
    found = []
    for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if entry["kind"] == "valid":
            bleu = next(score["value"] for score in entry["scores"] if score["name"] == "BLEU")
            found.append({"step": entry["step"], "loss": entry["loss"], "bleu": bleu})
    return found
