"""What `translator train` reaches in the same wall-clock time as a loop around Hugging Face's model, or as JoeyNMT.

    python scripts/compare_peers.py ours hf --output DIR --train train.en train.de --valid val.en val.de \\
        --test test.en test.de --minutes 20 --threads 1 --together [--json FILE] [KEY=VALUE ...]

All get the same cleaned pairs and the same vocabulary, which are prepared before the clock starts, and the same recipe:
that of `preset=tiny`, or of the settings that are given. The clock starts with each one's process and counts all, also
validation: every epoch they translate the same validation sentences greedily. When the time is over they finish
the step or validation that they are in and save. Off the clock, each chooses among its weights by BLEU on the
validation set alone, and translates the test set with the same beam and its own usual length penalty.

With --together all train at once, which is fair where each has as many cores as --threads; otherwise in turn. "CPU
minutes" is what each was really given. On a machine that others use, `--clock cpu` counts these, divided by --threads:
as many minutes as on cores of their own, however long that takes.

Results stay in the output directory: a call with one more contender trains that alone, and the table has all of them.
Needs the `bench` extra; for `joeynmt` see peer_joeynmt.py.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from scripts.machine import machine_facts
from scripts.peer_joeynmt import JoeyNMT
from scripts.peers import ROOT, VARIANT_NAMES, Contender, HuggingFaceLoop, Ours, Task, call, environment, read_lines
from translator.evaluation import evaluate_hypotheses

CONTENDERS: dict[str, Contender] = {
    "ours": Ours(),
    **{name: HuggingFaceLoop(title) for name, title in VARIANT_NAMES.items()},
    "joeynmt": JoeyNMT(),
}
RESULT = "result.json"
PATIENCE_SECONDS = 300.0
"""How long a contender may take to stop when it is asked to: it may be in the middle of a validation."""


@dataclass
class Training:
    """A contender while it trains."""

    name: str
    process: subprocess.Popen[bytes]
    began: float = field(default_factory=time.monotonic)
    asked: float | None = None
    """When it was asked to stop."""
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    @classmethod
    def start(cls, name: str, task: Task, command: list[str]) -> Training:
        """Start a contender with its command."""
        with (task.output / name / "log.txt").open("a", encoding="utf-8") as log:
            return cls(name, subprocess.Popen(command, cwd=ROOT, env=environment(task), stdout=log, stderr=log))

    def spent(self, task: Task) -> float:
        """Seconds since the start, on the clock of the task."""
        if task.clock == "wall":
            return time.monotonic() - self.began
        # User and system time, of the process and of those that it has waited for.
        ticks = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[11:15]
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK") / task.threads

    def has_ended(self, task: Task) -> bool:
        """Whether the process has ended; ask it to, when its time is over."""
        # Not by `poll`: only `wait4` says how much CPU time this process had.
        pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
        now = time.monotonic()
        if pid:
            self.process.returncode = os.waitstatus_to_exitcode(status)
            self.seconds, self.cpu_seconds = now - self.began, usage.ru_utime + usage.ru_stime
            return True
        if self.asked is None and self.spent(task) >= 60.0 * task.minutes:
            self.asked = now
            self.process.send_signal(CONTENDERS[self.name].stop)
        elif self.asked is not None and now - self.asked > PATIENCE_SECONDS:
            self.process.kill()
        return False

    def problem(self, task: Task) -> str | None:
        """Say so if the training ended by itself with an error, or was ended before it could save."""
        stop = CONTENDERS[self.name].stop
        expected = {0} if self.asked is None else {0, 128 + stop}
        if self.process.returncode in expected:
            return None
        return (
            f"{self.name} ended with {self.process.returncode} after {self.seconds:.0f} s, expected "
            f"{' or '.join(map(str, sorted(expected)))}; see {task.output / self.name / 'log.txt'}"
        )


def train(names: Sequence[str], task: Task) -> list[Training]:
    """Train all at once, each for its time."""
    commands = {}
    for name in names:
        folder = task.output / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        commands[name] = CONTENDERS[name].command(task, folder)
    trainings = [Training.start(name, task, command) for name, command in commands.items()]
    running = list(trainings)
    while running:
        time.sleep(0.05)
        running = [training for training in running if not training.has_ended(task)]
    return trainings


def score(training: Training, task: Task) -> dict[str, Any]:
    """Let a contender choose its weights and translate the test set; return its figures."""
    contender = CONTENDERS[training.name]
    outcome = contender.finish(task, task.output / training.name)
    language = task.languages[1]
    references = read_lines(task.test[1])
    evaluation = evaluate_hypotheses(outcome.translations, references, metrics=("bleu", "chrf"), language=language)
    bleu, chrf = evaluation.scores
    return {
        "title": contender.title,
        "search": f"beam {task.beam}, {contender.search}",
        "seconds": training.seconds,
        "cpu_seconds": training.cpu_seconds,
        **outcome._asdict(),
        "bleu": bleu.value,
        "chrf": chrf.value,
        "signatures": [bleu.signature, chrf.signature],
    }


def conditions(task: Task) -> dict[str, Any]:
    """What must be the same for results to share a table."""
    files = [[str(path) for path in pair] for pair in (task.train, task.valid, task.test)]
    return {
        "files": files, "settings": sorted(task.settings), "minutes": task.minutes, "clock": task.clock,
        "threads": task.threads,
        "beam": task.beam,
    }  # fmt: skip


def kept_results(task: Task, wanted: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Read the results that the output directory has, in the order of `CONTENDERS`; refuse those of another task."""
    found = {}
    for name in CONTENDERS:
        path = task.output / name / RESULT
        if not path.is_file():
            continue
        found[name] = json.loads(path.read_text(encoding="utf-8"))
        if found[name]["conditions"] != wanted:
            raise SystemExit(
                f"{path} was measured under other conditions: {found[name]['conditions']}, expected {wanted}; choose "
                "another --output, or remove that directory"
            )
    return found


def table(results: dict[str, dict[str, Any]]) -> str:
    """Lay out the results in Markdown."""
    lines = [
        "| contender | CPU minutes | steps | target tokens | validations | weights | BLEU, validation (greedy) "
        "| BLEU, test | chrF2, test | search |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for own in results.values():
        cells = [
            own["title"], f"{own['cpu_seconds'] / 60:.1f}", f"{own['steps']:,}", f"{own['target_tokens']:,}",
            str(own["validations"]), own["weights"], f"{own['valid_bleu']:.2f}", f"**{own['bleu']:.2f}**",
            f"{own['chrf']:.2f}", own["search"],
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    signatures = dict.fromkeys(signature for own in results.values() for signature in own["signatures"])
    return "\n".join([*lines, "", *signatures])


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add(
        "words", nargs="*", metavar="CONTENDER|KEY=VALUE", help=f"contenders: {', '.join(CONTENDERS)} (default ours hf)"
    )
    add("--output", type=Path, required=True, help="directory of data, runs and results")
    files: dict[str, Any] = {"nargs": 2, "type": Path, "required": True, "metavar": ("SOURCE", "TARGET")}
    add("--train", **files)
    add("--valid", **files)
    add("--test", **files)
    add("--minutes", type=float, default=20.0, help="time of each (default 20)")
    add("--clock", choices=("wall", "cpu"), default="wall", help="what counts as time (default wall)")
    add("--threads", type=int, default=2, help="CPU threads of each (default 2)")
    add("--together", action="store_true", help="train all at once instead of in turn")
    add("--beam", type=int, default=5, help="beam on the test set (default 5)")
    add("--json", type=Path, metavar="FILE", help="write all figures there too")
    options = parser.parse_intermixed_args(arguments)
    options.contenders = [word for word in options.words if "=" not in word] or ["ours", "hf"]
    if unknown := set(options.contenders) - set(CONTENDERS):
        parser.error(f"unknown contenders {sorted(unknown)}; expected some of {', '.join(CONTENDERS)}")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Train whoever has no result yet, and print the table."""
    options = parse(arguments)
    # A shell lets what it runs in the background ignore it, and that is inherited; some contenders wait for it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    settings = tuple(word for word in options.words if "=" in word)
    if not any(word.startswith("preset=") for word in settings):
        settings = ("preset=tiny", *settings)
    # Absolute paths, as contenders run in another directory.
    train_files, valid, test = (
        [path.resolve() for path in pair] for pair in (options.train, options.valid, options.test)
    )
    task = Task(
        train=train_files, valid=valid, test=test, settings=settings, minutes=options.minutes, clock=options.clock,
        threads=options.threads, beam=options.beam, output=options.output.resolve(),
    )  # fmt: skip
    if any(not line.strip() for line in read_lines(task.test[0])):
        raise SystemExit(f"{task.test[0]} has blank lines, which not every contender can translate")
    machine, wanted = machine_facts(options.threads, ["torch", "transformers"]), conditions(task)
    kept = kept_results(task, wanted)
    missing = [name for name in dict.fromkeys(options.contenders) if name not in kept]
    if missing:
        task.output.mkdir(parents=True, exist_ok=True)
        run = f"run={task.output / 'run'}"  # nothing is written there
        call(task, [sys.executable, "-m", "translator", "data", "prepare", *task.words, run], task.output)
    problems: list[str] = []
    for group in [missing] if options.together else [[name] for name in missing]:
        for training in train(group, task):
            if problem := training.problem(task):
                # The others have their results nevertheless.
                problems.append(problem)
                continue
            figures = score(training, task) | {"conditions": wanted, "trained_with": group, "machine": machine}
            text = json.dumps(figures, indent=2, ensure_ascii=False)
            (task.output / training.name / RESULT).write_text(text + "\n", encoding="utf-8")
    results = kept_results(task, wanted)
    words = " ".join(settings)
    print(f"{task.minutes:g} minutes ({task.clock}), {task.threads} threads each, preset and settings: {words}\n")
    print(table(results) + "\n")
    print("\n".join(f"{name}: {value}" for name, value in machine.items()))
    if options.json:
        text = json.dumps({"machine": machine, "contenders": results}, indent=2, ensure_ascii=False)
        options.json.write_text(text + "\n", encoding="utf-8")
    if problems:
        raise SystemExit("\n".join(problems))


if __name__ == "__main__":
    main()
