"""The contenders of bench_translate.py, each in a process of its own: text in, text out, with one tokenizer.

Nothing here imports PyTorch before a contender does that needs it, for memory is measured too.
"""

from __future__ import annotations

import importlib
import multiprocessing
import re
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import takewhile
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from translator.text import load_tokenizers

Setting = dict[str, Any]
"""What a contender is free to choose: `batch`, `workers` (batches at once, which share the threads) and so on."""


@dataclass(frozen=True)
class Task:
    """What is the same for all contenders."""

    run: Path
    weights: str | None
    hf: Path
    """The weights as Hugging Face saves them."""
    ctranslate2: Path
    """The weights as CTranslate2 reads them; it puts them into another number format when it loads them."""
    threads: int
    length_alpha: float
    """Hypotheses are ranked by log-probability / length ** alpha."""
    max_length_factor: float
    max_length_extra: int

    def longest(self, sources: Sequence[Sequence[Any]]) -> int:
        """Most pieces of a translation, where the longest of `sources` decides for all."""
        return int(self.max_length_factor * max(map(len, sources))) + self.max_length_extra


class System(Protocol):
    """A way to translate with the weights."""

    def translate(self, lines: Sequence[str], beam_size: int) -> list[str]:
        """Translate lines, none of them blank; return as many, in order."""
        ...


class HuggingFace:
    """`generate` of transformers on batches of sentences of like length."""

    def __init__(self, task: Task, setting: Setting) -> None:
        self.torch, transformers = (importlib.import_module(name) for name in ("torch", "transformers"))
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        self.task, self.batch, self.make_config = task, setting["batch"], transformers.GenerationConfig
        self.tokenizer = load_tokenizers(task.run).target
        attention = setting["attention"]
        self.model = transformers.AutoModelForSeq2SeqLM.from_pretrained(task.hf, attn_implementation=attention).eval()
        workers = setting["workers"]
        self.torch.set_num_threads(task.threads // workers)
        self.pool = ThreadPoolExecutor(workers, "generate", self.torch.set_num_threads, (task.threads // workers,))
        self.map: Callable[..., Any] = self.pool.map if workers > 1 else map

    def translate(self, lines: Sequence[str], beam_size: int) -> list[str]:
        """See `System`."""
        sources = self.tokenizer.encode(lines)
        order = sorted(range(len(lines)), key=lambda index: -len(sources[index]))
        batches = [order[first : first + self.batch] for first in range(0, len(order), self.batch)]
        translations = [""] * len(lines)
        found = self.map(lambda batch: self.generate([sources[index] for index in batch], beam_size), batches)
        for batch, outputs in zip(batches, found, strict=True):
            for index, ids in zip(batch, outputs, strict=True):
                translations[index] = self.tokenizer.decode(ids)
        return translations

    def generate(self, sources: Sequence[Sequence[int]], beam_size: int) -> list[list[int]]:
        """Return the best translation of each source, in piece ids without special tokens."""
        torch, config = self.torch, self.model.config
        rows = [torch.tensor([*source, config.eos_token_id]) for source in sources]
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=config.pad_token_id)
        lengths = torch.tensor([len(row) for row in rows])
        mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
        ranked = {"length_penalty": self.task.length_alpha, "early_stopping": True} if beam_size > 1 else {}
        config = self.make_config(
            num_beams=beam_size, do_sample=False, max_new_tokens=self.task.longest(sources),
            pad_token_id=config.pad_token_id, eos_token_id=config.eos_token_id,
            decoder_start_token_id=config.decoder_start_token_id, **ranked,
        )  # fmt: skip
        with torch.inference_mode():
            found = self.model.generate(input_ids=ids, attention_mask=mask, generation_config=config)
        return [list(takewhile(lambda piece: piece != config.eos_token_id, row)) for row in found[:, 1:].tolist()]


class CTranslate2:
    """The library called directly; it makes the batches itself."""

    def __init__(self, task: Task, setting: Setting, compute_type: str) -> None:
        # Its converters import PyTorch where that is installed; who only translates needs none, nor its memory.
        sys.modules.setdefault("torch", None)  # type: ignore[arg-type]
        library, sentencepiece = (importlib.import_module(name) for name in ("ctranslate2", "sentencepiece"))
        workers = setting["workers"]
        self.task, self.batch = task, setting["batch"]
        self.processor = sentencepiece.SentencePieceProcessor(model_file=str(task.run / "tokenizer.model"))
        self.translator = library.Translator(
            str(task.ctranslate2), device="cpu", compute_type=compute_type,
            inter_threads=workers, intra_threads=task.threads // workers,
        )  # fmt: skip

    def translate(self, lines: Sequence[str], beam_size: int) -> list[str]:
        """See `System`."""
        sources = self.processor.encode(list(lines), out_type=str, num_threads=self.task.threads)
        found = self.translator.translate_batch(
            sources, max_batch_size=self.batch, beam_size=beam_size, length_penalty=self.task.length_alpha,
            max_decoding_length=self.task.longest(sources),
        )  # fmt: skip
        texts: list[str] = self.processor.decode([each.hypotheses[0] for each in found], num_threads=self.task.threads)
        return texts


class Ours:
    """This project's engines."""

    def __init__(self, task: Task, setting: Setting, engine: str, number_format: str) -> None:
        from translator.translation import Translator

        self.translator = Translator.load(
            task.run, weights=task.weights, engine=engine, device="cpu", threads=task.threads
        )
        self.settings = {
            "length_penalty": "mean", "length_alpha": task.length_alpha, "quantize": number_format,
            "max_length_factor": task.max_length_factor, "max_length_extra": task.max_length_extra,
            "batch_tokens": setting["batch"],
        }  # fmt: skip

    def translate(self, lines: Sequence[str], beam_size: int) -> list[str]:
        """See `System`."""
        return list(self.translator.translate(lines, window=len(lines), beam_size=beam_size, **self.settings))


class Entry(NamedTuple):
    """A contender: its name in the table, how it is made, and what may be chosen, the likeliest first."""

    title: str
    make: Callable[[Task, Setting], System]
    choices: Callable[[int], dict[str, list[Any]]]
    """Given the threads."""


def _splits(threads: int) -> list[int]:
    return [1, threads] if threads > 1 else [1]


def _hugging_face_choices(threads: int) -> dict[str, list[Any]]:
    return {**_plain_choices(threads), "attention": ["sdpa", "eager"], "workers": _splits(threads)}


def _plain_choices(threads: int) -> dict[str, list[Any]]:
    return {"batch": [32, 8, 16, 64, 128], "attention": ["sdpa"], "workers": [1]}


def _ctranslate2_choices(threads: int) -> dict[str, list[Any]]:
    return {"workers": _splits(threads)[::-1], "batch": [32, 8, 16, 64, 128]}


def _our_choices(threads: int) -> dict[str, list[Any]]:
    # The engine over CTranslate2 takes no larger batches on the CPU.
    return {"batch": [1024, 512]}


def _native_choices(threads: int) -> dict[str, list[Any]]:
    return {"batch": [4096, 1024, 2048, 8192, 16384]}


SYSTEMS = {
    "ours": Entry("translator", lambda task, own: Ours(task, own, "auto", "none"), _our_choices),
    "ours-int8": Entry("translator, int8", lambda task, own: Ours(task, own, "auto", "int8"), _our_choices),
    "ours-native": Entry("translator, native", lambda task, own: Ours(task, own, "native", "none"), _native_choices),
    "hf": Entry("Hugging Face generate at its best", HuggingFace, _hugging_face_choices),
    "hf-plain": Entry("Hugging Face generate as it comes", HuggingFace, _plain_choices),
    "ct2": Entry("CTranslate2", lambda task, own: CTranslate2(task, own, "float32"), _ctranslate2_choices),
    "ct2-int8": Entry("CTranslate2 int8", lambda task, own: CTranslate2(task, own, "int8"), _ctranslate2_choices),
}


class Turn(NamedTuple):
    """What a contender is asked to do."""

    lines: list[str]
    beam_size: int
    setting: Setting
    one_by_one: bool
    """Each line by itself, as an interactive user sends them."""


class Answer(NamedTuple):
    """What it has done, and how long it took."""

    translations: list[str]
    seconds: list[float]
    """Of all lines together, or of each of them."""
    processor_seconds: float
    """Processor time of all threads, for all lines: other work on the machine hardly changes it."""
    peak_mib: float
    """Most memory that the process has held so far, resident."""


def serve(connection: Connection, name: str, task: Task) -> None:
    """Be a contender: send an `Answer` for every `Turn` until None comes."""
    system, made = None, None
    connection.send("ready")
    while (turn := connection.recv()) is not None:
        if system is None or turn.setting != made:
            # Outside the clock; what is loaded at the first call belongs to loading.
            system, made = None, turn.setting
            system = SYSTEMS[name].make(task, turn.setting)
            system.translate(turn.lines[:1], turn.beam_size)
        parts = [[line] for line in turn.lines] if turn.one_by_one else [turn.lines]
        translations, seconds = [], []
        processor = time.process_time()
        for part in parts:
            began = time.perf_counter()
            found = system.translate(part, turn.beam_size)
            seconds.append(time.perf_counter() - began)
            translations += found
        connection.send(Answer(translations, seconds, time.process_time() - processor, _peak_mib()))


def _peak_mib() -> float:
    """Not from getrusage, which counts what the parent held when it started this process."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else float("nan")


class Worker:
    """A contender in a process of its own, idle except while it is asked."""

    def __init__(self, name: str, task: Task) -> None:
        self.name = name
        # Spawned, not forked: a child must not inherit memory or threads that were used before.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, name, task), daemon=True)
        self.process.start()
        theirs.close()

    def wait_until_ready(self) -> None:
        """Wait for the process to have started."""
        self._receive()

    def run(self, turn: Turn) -> Answer:
        """Translate and wait for the end."""
        self.connection.send(turn)
        answer: Answer = self._receive()
        return answer

    def end(self) -> None:
        """Let the process end."""
        self.connection.send(None)
        self.process.join()

    def _receive(self) -> Any:
        try:
            return self.connection.recv()
        except EOFError:
            raise SystemExit(f"{SYSTEMS[self.name].title}: its process has ended, see above") from None
