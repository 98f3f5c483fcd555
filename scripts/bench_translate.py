"""Measure translating: target tokens/s, latency, BLEU and memory of our engines, Hugging Face and CTranslate2.

    python scripts/bench_translate.py RUN TEST.en TEST.de [--rounds 5] [--threads 2] [--json FILE]

All use the weights of one run: our engines as they are, Hugging Face and CTranslate2 after conversion,
and all tokenise and detokenise with its SentencePiece model. The clock takes in everything between lines of text and
lines of text; loading and a first pass are left out. Each contender lives in a process of its own, first chooses its
batch size (and how it shares out the threads), and then they take turns, never two at once. Ratios are taken within a
round. Prints a table in Markdown and whether the aims are met. Needs the `bench` extra.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from scripts.machine import machine_facts
from scripts.translation_systems import SYSTEMS, Setting, Task, Turn, Worker

GREEDY, BEAM, LATENCY = "greedy", "beam", "latency"
PACKAGES = ("torch", "transformers", "ctranslate2", "sentencepiece", "sacrebleu")


class Mode(NamedTuple):
    """One thing that is measured."""

    lines: list[str]
    beam_size: int
    one_by_one: bool = False

    def turn(self, setting: Setting, lines: list[str] | None = None) -> Turn:
        """Ask for all lines, or for some."""
        return Turn(self.lines if lines is None else lines, self.beam_size, setting, self.one_by_one)


@dataclass
class Figures:
    """What was found of one contender, by mode."""

    settings: dict[str, Setting] = field(default_factory=dict)
    tried: dict[str, list[tuple[Setting, float]]] = field(default_factory=dict)
    """Seconds of each setting that was tried."""
    seconds: dict[str, list[float]] = field(default_factory=dict)
    """Seconds of every round; for the latency, the median over the sentences."""
    processor_seconds: dict[str, list[float]] = field(default_factory=dict)
    """Of every round."""
    translations: dict[str, list[str]] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)
    """Pieces of the translations, without special tokens."""
    bleu: dict[str, float] = field(default_factory=dict)
    peak_mib: float = 0.0

    def rates(self, mode: str) -> list[float]:
        """Target tokens/s of every round; of the latency, sentences/s."""
        return [self.tokens.get(mode, 1) / seconds for seconds in self.seconds[mode]]


Found = dict[str, Figures]


def choose_settings(
    choices: dict[str, list[Any]], seconds: Callable[[Setting], float]
) -> tuple[Setting, list[tuple[Setting, float]]]:
    """Find the fastest setting, one choice after the other; return it and all that were tried."""
    best: Setting = {name: values[0] for name, values in choices.items()}
    tried = [(best, seconds(best))]
    fastest = tried[0][1]
    for name, values in choices.items():
        for value in values[1:]:
            setting = best | {name: value}
            tried.append((setting, seconds(setting)))
            if tried[-1][1] < fastest:
                best, fastest = tried[-1]
    return best, tried


def search_settings(name: str, task: Task, modes: dict[str, Mode], sentences: int) -> Figures:
    """Let a contender choose its settings on a part of the lines; with 0 sentences it takes those it comes with."""
    figures = Figures()
    choices = SYSTEMS[name].choices(task.threads)
    if not sentences:
        figures.settings = {mode: {key: values[0] for key, values in choices.items()} for mode in modes}
        return figures
    with contenders([name], task) as (worker,):
        for title, mode in modes.items():
            lines = spread(mode.lines, max(1, sentences // 50) if mode.one_by_one else sentences)
            worker.run(mode.turn({key: values[0] for key, values in choices.items()}, lines))
            # A sentence by itself is a batch, whatever may be its size.
            own = {key: values[:1] if mode.one_by_one and key == "batch" else values for key, values in choices.items()}

            def seconds(setting: Setting, mode: Mode = mode, lines: list[str] = lines) -> float:
                return sum(worker.run(mode.turn(setting, lines)).seconds)

            figures.settings[title], figures.tried[title] = choose_settings(own, seconds)
            say(f"{SYSTEMS[name].title}, {title}: {describe(figures.settings[title])}")
    return figures


def measure(task: Task, names: Sequence[str], modes: dict[str, Mode], options: argparse.Namespace) -> Found:
    """Let the contenders choose, warm up and take turns, in another order every round."""
    found = {name: search_settings(name, task, modes, options.search_sentences) for name in names}
    # Anew, so that the memory is that of the settings that were chosen.
    with contenders(names, task) as workers:
        for title, mode in modes.items():
            for worker in workers:
                worker.run(mode.turn(found[worker.name].settings[title], spread(mode.lines, len(mode.lines) // 4 or 1)))
            for number in range(options.rounds):
                first = number % len(workers)
                for worker in workers[first:] + workers[:first]:
                    figures = found[worker.name]
                    answer = worker.run(mode.turn(figures.settings[title]))
                    figures.seconds.setdefault(title, []).append(statistics.median(answer.seconds))
                    figures.processor_seconds.setdefault(title, []).append(answer.processor_seconds)
                    figures.translations[title], figures.peak_mib = answer.translations, answer.peak_mib
                say(f"{title}: round {number + 1} of {options.rounds}")
    return found


@contextmanager
def contenders(names: Sequence[str], task: Task) -> Iterator[list[Worker]]:
    """Start contenders, and end them afterwards."""
    workers = [Worker(name, task) for name in names]
    for worker in workers:
        worker.wait_until_ready()
    yield workers
    for worker in workers:
        worker.end()


def spread(lines: list[str], count: int) -> list[str]:
    """Choose `count` lines at equal distances."""
    step = max(1.0, len(lines) / count)
    return [lines[int(index * step)] for index in range(min(count, len(lines)))]


def score_all(found: Found, task: Task, references: list[str], tokenize: str) -> str:
    """Count tokens and compute BLEU of what was translated; return the signature."""
    from translator.evaluation import score
    from translator.text import load_tokenizers

    tokenizer, signature = load_tokenizers(task.run).target, ""
    for figures in found.values():
        for mode in (GREEDY, BEAM):
            figures.tokens[mode] = sum(map(len, tokenizer.encode(figures.translations[mode])))
            (result,) = score(figures.translations[mode], references, ["bleu"], tokenize=tokenize)
            figures.bleu[mode], signature = result.value, result.signature
    return signature


def ratio(found: Found, name: str, other: str, mode: str) -> float | None:
    """How many times as fast as another a contender is: the median of the rounds' ratios."""
    if name not in found or other not in found:
        return None
    pairs = zip(found[name].rates(mode), found[other].rates(mode), strict=True)
    return statistics.median(own / theirs for own, theirs in pairs)


def processor_ratio(found: Found, name: str, other: str, mode: str) -> float:
    """Return the processor time of a contender as a share of another's: the median of the rounds' ratios."""
    own, theirs = (found[each].processor_seconds[mode] for each in (name, other))
    return statistics.median(mine / its for mine, its in zip(own, theirs, strict=True))


def aims(found: Found) -> list[str]:
    """Say which aims are met."""
    floors: list[tuple[str, str, str, str, float]] = [
        ("beam, against Hugging Face as it comes", "ours", "hf-plain", BEAM, 5.0),
        ("one sentence, against Hugging Face as it comes", "ours", "hf-plain", LATENCY, 8.0),
    ]
    for suffix, kind in (("", "float32"), ("-int8", "int8")):
        for mode in (GREEDY, BEAM):
            title = f"{mode}, against CTranslate2 called directly, {kind}"
            floors.append((title, f"ours{suffix}", f"ct2{suffix}", mode, 0.92))
    lines = []
    for title, name, other, mode, floor in floors:
        value = ratio(found, name, other, mode)
        if value is not None:
            verdict = "PASS" if value >= floor else "FAIL"
            less = processor_ratio(found, name, other, mode)
            lines.append(
                f"{verdict}: {title}: {value:.2f} times as fast, with {less:.2f} of the processor time (aim: at least "
                f"{floor})"
            )
    for mode in (GREEDY, BEAM):
        scores = [figures.bleu[mode] for figures in found.values()]
        difference = max(scores) - min(scores)
        verdict = "PASS" if difference <= 0.3 else "FAIL"
        lines.append(f"{verdict}: BLEU of all, {mode}: {difference:.2f} apart (aim: at most 0.3)")
    return lines


def table(found: Found, beam_size: int) -> str:
    """Lay out the figures in Markdown."""
    beam = f"beam {beam_size}"
    heads = ["contender"]
    for mode in ("greedy", beam):
        heads += [f"{mode}, tokens/s (min-max)", "/ HF", "/ CT2"]
    heads += [f"one sentence, {beam}, ms", "HF / it", "CT2 / it", "BLEU greedy", f"BLEU {beam}", "peak MiB"]
    rows = [heads, ["---"] * len(heads)]
    for name, figures in found.items():
        row = [SYSTEMS[name].title]
        for mode in (GREEDY, BEAM):
            rates = figures.rates(mode)
            row.append(f"{statistics.median(rates):,.0f} ({min(rates):,.0f}-{max(rates):,.0f})")
            row += [times(ratio(found, name, other, mode)) for other in ("hf", "ct2")]
        row.append(f"{1000 * statistics.median(figures.seconds[LATENCY]):.1f}")
        row += [times(ratio(found, name, other, LATENCY)) for other in ("hf", "ct2")]
        row += [f"{figures.bleu[mode]:.2f}" for mode in (GREEDY, BEAM)]
        rows.append([*row, f"{figures.peak_mib:,.0f}"])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def times(value: float | None) -> str:
    """Write a ratio."""
    return "" if value is None else f"{value:.2f}"


def describe(setting: Setting) -> str:
    """Write a setting."""
    return ", ".join(f"{key} {value}" for key, value in setting.items())


def rules(task: Task, modes: dict[str, Mode], signature: str) -> dict[str, str]:
    """What one must know to read the table."""
    limit = f"{task.max_length_factor:g} * source pieces + {task.max_length_extra}"
    return {
        "clock": f"from {len(modes[BEAM].lines):,} lines of text, given at once, to their translations, tokenising and "
        f"detokenising included, loading left out; latency: median of {len(modes[LATENCY].lines)} lines one by one",
        "tokens": "pieces of the translations, without special tokens",
        "ranking": f"log-probability / length ** {task.length_alpha:g} for all",
        "end of a beam search": "Hugging Face (early_stopping=True) and CTranslate2 (patience 1): as many hypotheses "
        "are complete as the beam is wide; the native engine: none could become better",
        "longest translation": f"{limit}; Hugging Face: of the longest source of a batch, CTranslate2: of all",
        "batch": "sentences for Hugging Face and CTranslate2, source tokens times beam (`batch_tokens`) for ours",
        "BLEU": signature,
    }


def say(message: str) -> None:
    """Report progress."""
    print(message, file=sys.stderr, flush=True)


def make_task(options: argparse.Namespace, directory: Path) -> Task:
    """Convert the run's weights for the others, into `directory`."""
    from scripts.hf_model import hf_model
    from translator.checkpoints import load_bundle
    from translator.interop.ctranslate2 import export_ctranslate2

    bundle = load_bundle(options.run, weights=options.weights, device="cpu", threads=options.threads)
    if not bundle.tokenizers.joint:
        raise SystemExit(f"{options.run}: expected one joint vocabulary, found two")
    target, decoding = bundle.tokenizers.target, bundle.config.decoding
    hf_model(bundle.model, target.bos_id, target.eos_id).save_pretrained(directory / "hf")
    return Task(
        options.run, options.weights, directory / "hf", export_ctranslate2(bundle, directory / "ctranslate2"),
        options.threads, options.length_alpha, decoding.max_length_factor, decoding.max_length_extra,
    )  # fmt: skip


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("run", type=Path, metavar="RUN", help="a run directory")
    add("source", type=Path, metavar="SOURCE", help="text to translate, plain or gzip'd, without blank lines")
    add("reference", type=Path, metavar="REFERENCE", help="its translation")
    add("--weights", help="which of the run's (default: its final ones)")
    add("--threads", type=int, default=2, help="CPU threads (default 2)")
    add("--rounds", type=int, default=5, help="turns of every contender (default 5)")
    add("--beam-size", type=int, default=5, help="default 5")
    add("--length-alpha", type=float, default=0.6, help="scores are divided by length ** alpha (default 0.6)")
    add("--sentences", type=int, help="how many of the lines, spread over the file (default all)")
    add("--latency-sentences", type=int, default=100, help="of those, for the latency (default 100)")
    add("--search-sentences", type=int, default=500, help="to choose settings with; 0: no choice (default 500)")
    add("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS), metavar="NAME", help=", ".join(SYSTEMS))
    add("--tokenize", default="13a", help="sacreBLEU's tokenizer (default 13a)")
    add("--json", type=Path, metavar="FILE", help="write all figures and translations there too")
    return parser.parse_args(arguments)


def main() -> None:
    """Measure what was asked for."""
    from translator.evaluation import open_test_set

    options = parse()
    test = open_test_set(options.source, [options.reference])
    sources, references = test.sources, test.references[0]
    if options.sentences:
        sources, references = (spread(lines, options.sentences) for lines in (sources, references))
    if not all(line.strip() for line in sources):
        raise SystemExit(f"{options.source}: expected no blank lines, which not all contenders can translate")
    modes = {
        GREEDY: Mode(sources, 1),
        BEAM: Mode(sources, options.beam_size),
        LATENCY: Mode(spread(sources, options.latency_sentences), options.beam_size, one_by_one=True),
    }
    machine = machine_facts(options.threads, PACKAGES)
    with tempfile.TemporaryDirectory() as directory:
        task = make_task(options, Path(directory))
        found = measure(task, options.systems, modes, options)
        facts = rules(task, modes, score_all(found, task, references, options.tokenize))
    for name, figures in found.items():
        chosen = [f"{mode}: {describe(setting)}" for mode, setting in figures.settings.items()]
        facts[f"settings of {SYSTEMS[name].title}"] = "; ".join(chosen)
    verdicts = aims(found)
    print(table(found, options.beam_size) + "\n")
    print("\n".join(verdicts) + "\n")
    print("\n".join(f"{name}: {value}" for name, value in (facts | machine).items()))
    if options.json:
        contents = {name: asdict(figures) for name, figures in found.items()}
        everything = {"machine": machine, "rules": facts, "aims": verdicts, "contenders": contents}
        options.json.write_text(json.dumps(everything, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
