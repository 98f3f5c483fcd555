"""The engine that translates with CTranslate2, a C++ library for inference, in the place of our own searches.

What it does otherwise than the native engine:

* its beam search stops when it has found as many hypotheses as the beam is wide, which can miss a better one;
* it has no GNMT penalty: all hypotheses of the beam are asked for and ranked by it here;
* an ending right after a prefix counts only if it is the most probable piece there;
* with int8, what the weights are multiplied with is rounded too.

What a translation may say, how long it may be and how it is scored is the same.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from translator.checkpoints import Bundle
from translator.config import DecodingSettings
from translator.decoding.constraints.rules import Rules
from translator.decoding.engine import NOTHING, token_batches
from translator.decoding.hypothesis import Hypothesis, LengthPenalty, Request
from translator.errors import DeviceError
from translator.interop.ctranslate2.export import cached_ctranslate2, require_ctranslate2
from translator.interop.ctranslate2.request import LibraryHypothesis, LibraryRequest, refuse_foreign
from translator.runtime.console import say
from translator.runtime.device import Machine

_SCORED_TOKENS = 1024
"""Source tokens that are scored together; logits are held for every token of their targets."""


class CTranslate2Engine:
    """`Engine` over `ctranslate2.Translator`; several batches are translated at once, each by one thread."""

    name = "ctranslate2"

    def __init__(
        self,
        translator: Any,
        source_pieces: Sequence[str],
        target_pieces: Sequence[str],
        *,
        eos_id: int,
        longest: int,
        workers: int = 1,
    ) -> None:
        """`translator` adds the source's end mark itself; `longest` is the most pieces of either side."""
        self.longest_source: int | None = longest
        self._translator = translator
        self._source_pieces, self._target_pieces = list(source_pieces), list(target_pieces)
        self._ids = {piece: number for number, piece in enumerate(target_pieces)}
        self._eos_id, self._end = eos_id, target_pieces[eos_id]
        self._longest, self._workers = longest, workers

    @classmethod
    def of(cls, bundle: Bundle, *, threads: int | None = None, quantize: str = "none") -> "CTranslate2Engine":
        """Load the model of a run, exported if need be, onto its device.

        `threads` are those of the CPU, by default as many as PyTorch uses. `quantize` is `none` or `int8`. Raises
        `ConfigError` where the library is not installed and `DeviceError` where it cannot use the device.
        """
        library = require_ctranslate2()
        device = bundle.machine.device
        workers = (threads or torch.get_num_threads()) if device.type == "cpu" else 1
        path = cached_ctranslate2(bundle)
        try:
            translator = library.Translator(
                str(path),
                device=device.type,
                device_index=device.index or 0,
                compute_type=_compute_type(bundle.machine, quantize),
                inter_threads=workers,
                # The matrices of a step are small: threads do more with a batch each than with a share of one.
                intra_threads=1,
            )
        except (ValueError, RuntimeError) as error:
            raise DeviceError(
                f"ctranslate2 cannot load {path} on {device.type} in {bundle.machine.precision} with "
                f"quantize={quantize}: {error}; choose another device, precision or quantize, or use the native engine"
            ) from None
        source, target = bundle.tokenizers.source, bundle.tokenizers.target
        return cls(
            translator,
            source.pieces(range(source.vocab_size)),
            target.pieces(range(target.vocab_size)),
            eos_id=target.eos_id,
            longest=bundle.config.model.max_positions - 1,
            workers=workers,
        )

    def search(
        self,
        requests: Sequence[Request],
        settings: DecodingSettings,
        *,
        with_scores: bool = True,
        on_batch: Callable[[int], None] | None = None,
    ) -> list[list[Hypothesis]]:
        """See `Engine`."""
        refuse_foreign(requests, settings)
        results: list[list[Hypothesis]] = [[NOTHING] for _ in requests]
        tasks = []
        for index, request in enumerate(requests):
            if request.prefix:
                Rules(self._eos_id, prefix=request.prefix)  # Refuses what no prefix may hold.
            task = LibraryRequest.of(index, request, settings, self._longest)
            if len(request.source) and len(request.prefix) > task.limit:
                results[index] = []
            elif len(request.source):
                tasks.append(task)
        waiting = deque(self._batches(tasks, settings))
        running: deque[tuple[list[LibraryRequest], list[Any]]] = deque()
        while waiting or running:
            # A few ahead, so that no thread idles while answers are read.
            while waiting and len(running) < 2 * self._workers:
                batch = waiting.popleft()
                running.append((batch, self._begin(batch, settings, with_scores)))
            batch, answers = running.popleft()
            limit = max(task.limit for task in batch)
            complete, again = [], []
            for task, answer in zip(batch, answers, strict=True):
                found = self._read(answer)
                if task.is_complete(found, limit):
                    complete.append((task, found))
                else:
                    again.append(task.repeated())
            waiting.extend(self._batches(again, settings))
            for task, ranked in self._rank(complete, settings, with_scores):
                results[task.index] = ranked
            if on_batch is not None and complete:
                on_batch(len(complete))
        return results

    def _batches(self, tasks: Sequence[LibraryRequest], settings: DecodingSettings) -> Iterator[list[LibraryRequest]]:
        """Group what one call of the library can do."""
        groups: dict[tuple[int, ...], list[LibraryRequest]] = {}
        for task in tasks:
            groups.setdefault(task.group, []).append(task)
        for group in groups.values():
            # Each source counts with its end mark, once for every hypothesis.
            lengths = [(len(task.request.source) + 1) * settings.beam_size for task in group]
            # A single batch is shared out, so that all threads have work.
            budget = min(settings.batch_tokens, math.ceil(sum(lengths) / self._workers))
            for places in token_batches(lengths, budget):
                yield [group[place] for place in places]

    def _begin(self, batch: Sequence[LibraryRequest], settings: DecodingSettings, with_scores: bool) -> list[Any]:
        """Let the library begin with a batch; return what will be its answers, one a sentence."""
        source_pieces, target_pieces = self._source_pieces, self._target_pieces
        prefixes = [[target_pieces[piece] for piece in task.request.prefix] for task in batch]
        return self._translator.translate_batch(
            [[source_pieces[piece] for piece in task.request.source] for task in batch],
            prefixes if any(prefixes) else None,
            asynchronous=True,
            beam_size=settings.beam_size,
            num_hypotheses=batch[0].count,
            length_penalty=batch[0].exponent,
            no_repeat_ngram_size=settings.block_ngrams,
            max_input_length=0,
            max_decoding_length=max(task.limit for task in batch),
            min_decoding_length=batch[0].minimum,
            return_scores=with_scores or settings.beam_size > 1,
            # Lengths count it, as ours do, and what has none was cut at the limit.
            return_end_token=True,
        )

    def _read(self, answer: Any) -> list[LibraryHypothesis]:
        """Wait for the answer for one sentence, and put it back into piece ids."""
        result = answer.result()
        ids, end = self._ids, self._end
        found = []
        for pieces, score in zip(result.hypotheses, result.scores or [math.nan], strict=True):
            ended = bool(pieces) and pieces[-1] == end
            if ended:
                del pieces[-1]
            found.append(LibraryHypothesis(tuple([ids[piece] for piece in pieces]), ended, score))
        return found

    def _rank(
        self,
        found: Sequence[tuple[LibraryRequest, list[LibraryHypothesis]]],
        settings: DecodingSettings,
        with_scores: bool,
    ) -> Iterator[tuple[LibraryRequest, list[Hypothesis]]]:
        """Score and rank what was found for each sentence as the native engine does."""
        if settings.beam_size == 1:
            found = [(task, [task.cut(hypothesis) for hypothesis in own]) for task, own in found]
            if not with_scores:
                for task, own in found:
                    yield task, [Hypothesis(hypothesis.tokens, math.nan, math.nan) for hypothesis in own]
                return
        penalty = LengthPenalty(settings.length_penalty, settings.length_alpha)
        chosen = [
            (task, hypothesis, _log_probability(task, hypothesis, settings))
            for task, own in found
            for hypothesis in own
            if hypothesis.was_chosen
        ]
        unknown = iter(
            self._log_probabilities(
                [(task.request.source, hypothesis.tokens) for task, hypothesis, known in chosen if known is None]
            )
        )
        ranked: dict[int, list[Hypothesis]] = {task.index: [] for task, _ in found}
        for task, hypothesis, known in chosen:
            total = next(unknown) if known is None else known
            if math.isfinite(total):
                score = total / penalty(len(hypothesis.tokens) + 1.0)
                ranked[task.index].append(Hypothesis(hypothesis.tokens, total, score))
        for task, _ in found:
            yield task, sorted(ranked[task.index], key=lambda hypothesis: -hypothesis.score)[: settings.n_best]

    def _log_probabilities(self, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[float]:
        """Return those of whole targets, end mark included, given their sources."""
        if not pairs:
            return []
        source_pieces, target_pieces = self._source_pieces, self._target_pieces
        scored = self._translator.score_batch(
            [[source_pieces[piece] for piece in source] for source, _ in pairs],
            [[target_pieces[piece] for piece in target] for _, target in pairs],
            max_batch_size=_SCORED_TOKENS,
            batch_type="tokens",
            max_input_length=0,
        )
        return [math.fsum(result.log_probs) for result in scored]


def _log_probability(task: LibraryRequest, hypothesis: LibraryHypothesis, settings: DecodingSettings) -> float | None:
    """Return what the library's score says of a hypothesis; None where that is not what we mean.

    It lacks the end mark of what was cut and the pieces of a prefix, and where a rule forbids pieces it is of what is
    left.
    """
    if not hypothesis.ended or task.minimum or task.request.prefix or settings.block_ngrams:
        return None
    return hypothesis.score * hypothesis.length**task.exponent


def _compute_type(machine: Machine, quantize: str) -> str:
    """Name the library's number format for a precision."""
    precision = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}[machine.precision]
    if machine.device.type == "cpu" and precision != "float32":
        say(f"the ctranslate2 engine cannot compute in {machine.precision} on the CPU and does so in fp32")
        precision = "float32"
    return precision if quantize == "none" else f"{quantize}_{precision}"
