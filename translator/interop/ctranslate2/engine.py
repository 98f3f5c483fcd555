"""The engine that translates with CTranslate2, a C++ library for inference, instead of our own searches.

It differs from the native engine in this:

* its beam search stops when it has found as many hypotheses as the beam is wide, and can miss a better one;
* it has no GNMT length penalty: this module asks for all hypotheses of the beam and ranks them;
* a translation ends right after a prefix only if that is the most probable continuation;
* with int8, the activations are rounded as well as the weights;
* with a shortlist, only the target pieces compete that it has for the source pieces of the batch.

What a translation may contain, how long it may be and how it is scored is the same. docs/decoding.md tells users.
"""

import math
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from translator.checkpoints import Bundle
from translator.config import DecodingSettings
from translator.decoding.batch_tokens import batch_tokens_of
from translator.decoding.constraints.rules import Rules
from translator.decoding.engine import NOTHING, length_bounds, token_batches
from translator.decoding.hypothesis import Hypothesis, LengthPenalty, Request
from translator.errors import DeviceError
from translator.interop.ctranslate2.cache import cached_ctranslate2
from translator.interop.ctranslate2.library import compute_type, require_ctranslate2
from translator.interop.ctranslate2.request import LibraryHypothesis, LibraryRequest, LibrarySearch, cut, refuse_foreign
from translator.interop.ctranslate2.shortlist import shortlist_of
from translator.text import hash_file

_BATCH_TOKENS = 1024
"""Most source tokens of a batch on the CPU, times the beam: what is computed together should stay in its caches."""
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
        batch_tokens: int | None = None,
        shortlist: str | None = None,
    ) -> None:
        """`translator` is the library's; it adds the end-of-sentence token of the source itself.

        `longest` is the most pieces of either side, and `batch_tokens` the most source tokens of a batch, times the
        beam, however many the settings allow. `shortlist` is the digest of the model's shortlist if searches use it.
        """
        self.longest_source: int | None = longest
        self._translator = translator
        self._source_pieces, self._target_pieces = list(source_pieces), list(target_pieces)
        self._ids = {piece: index for index, piece in enumerate(target_pieces)}
        self._eos_id, self._end = eos_id, target_pieces[eos_id]
        self._longest, self._workers, self._batch_tokens = longest, workers, batch_tokens or sys.maxsize
        self._has_shortlist = shortlist is not None
        if shortlist is not None:
            # Translations that were begun with one shortlist are not continued with another.
            self.name += f"+shortlist-{shortlist}"

    @classmethod
    def of(
        cls, bundle: Bundle, *, threads: int | None = None, quantize: str = "none", shortlist: bool = False
    ) -> "CTranslate2Engine":
        """Load the model of a run onto its device; export it first if that has not been done.

        `threads` is the number of CPU threads, by default as many as PyTorch uses. `quantize` is `none` or `int8`;
        `shortlist` uses that of the run. Raises `ConfigError` if the library is not installed or the run has no
        shortlist, and `DeviceError` if the library cannot use the device.
        """
        library = require_ctranslate2()
        device = bundle.machine.device
        workers = (threads or torch.get_num_threads()) if device.type == "cpu" else 1
        file = shortlist_of(bundle) if shortlist else None
        path = cached_ctranslate2(bundle, file)
        try:
            translator = library.Translator(
                str(path),
                device=device.type,
                device_index=device.index or 0,
                compute_type=compute_type(bundle.machine, quantize),
                inter_threads=workers,
                # The matrices of a step are small: a batch for each thread is faster than all threads on one batch.
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
            batch_tokens=_BATCH_TOKENS if device.type == "cpu" else None,
            shortlist=hash_file(file)[:16] if file is not None else None,
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
        search = LibrarySearch.of(settings)
        results: list[list[Hypothesis]] = [[] for _ in requests]
        tasks = []
        for index, request in enumerate(requests):
            if request.prefix:
                Rules(self._eos_id, prefix=request.prefix)  # Refuses what no prefix may contain.
            if not request.source:
                results[index] = [NOTHING]
                continue
            minimum, limit = length_bounds(len(request.source), len(request.prefix), settings, self._longest)
            if len(request.prefix) <= limit:
                tasks.append(LibraryRequest(index, request, minimum, limit))
        waiting = deque(self._batches(tasks, search, batch_tokens_of(settings)))
        running: deque[tuple[list[LibraryRequest], list[Any]]] = deque()
        while waiting or running:
            # A few ahead, so that no thread is idle while answers are read.
            while waiting and len(running) < 2 * self._workers:
                batch = waiting.popleft()
                running.append((batch, self._begin(batch, search, settings, with_scores)))
            batch, answers = running.popleft()
            if search.beam_size == 1 and not with_scores:
                for task, answer in zip(batch, answers, strict=True):
                    results[task.sentence] = self._best(answer, task.limit)
                complete, again = batch, list[LibraryRequest]()
            else:
                complete, again = self._read_and_rank(batch, answers, search, settings, with_scores, results)
            waiting.extend(self._batches(again, search, batch_tokens_of(settings)))
            if on_batch is not None and complete:
                on_batch(len(complete))
        return results

    def _batches(
        self, tasks: Sequence[LibraryRequest], search: LibrarySearch, batch_tokens: int
    ) -> Iterator[list[LibraryRequest]]:
        """Group what one call of the library can do."""
        groups: dict[tuple[int, ...], list[LibraryRequest]] = {}
        for task in tasks:
            groups.setdefault(search.group(task), []).append(task)
        for group in groups.values():
            # Each source counts with its end-of-sentence token, once for every hypothesis.
            lengths = [(len(task.request.source) + 1) * search.beam_size for task in group]
            budget = min(batch_tokens, self._batch_tokens)
            # A single batch is shared out, so that all threads have work.
            budget = min(budget, math.ceil(sum(lengths) / self._workers))
            for indices in token_batches(lengths, budget):
                yield [group[index] for index in indices]

    def _begin(
        self, batch: Sequence[LibraryRequest], search: LibrarySearch, settings: DecodingSettings, with_scores: bool
    ) -> list[Any]:
        """Let the library start on a batch; return what will be its answers, one for each sentence."""
        source_pieces, target_pieces = self._source_pieces, self._target_pieces
        first = batch[0]
        answers: list[Any] = self._translator.translate_batch(
            [[source_pieces[piece] for piece in task.request.source] for task in batch],
            [[target_pieces[piece] for piece in task.request.prefix] for task in batch]
            if first.request.prefix
            else None,
            asynchronous=True,
            beam_size=search.beam_size,
            num_hypotheses=search.beam_size if first.is_repeated else search.count,
            length_penalty=search.exponent,
            no_repeat_ngram_size=settings.block_ngrams,
            max_input_length=0,
            max_decoding_length=max([task.limit for task in batch]),
            min_decoding_length=first.minimum,
            return_scores=with_scores or search.beam_size > 1,
            # Lengths count it, as ours do, and a hypothesis without it was cut at the limit.
            return_end_token=True,
            use_vmap=self._has_shortlist,
        )
        return answers

    def _best(self, answer: Any, limit: int) -> list[Hypothesis]:
        """Wait for the greedy translation of a sentence; return its first `limit` pieces without scores."""
        (pieces,) = answer.result().hypotheses
        if pieces and pieces[-1] == self._end:
            del pieces[-1]
        ids = self._ids
        return [Hypothesis(tuple([ids[piece] for piece in pieces[:limit]]), math.nan, math.nan)]

    def _read(self, answer: Any) -> list[LibraryHypothesis]:
        """Wait for the answer for a sentence, and turn it into piece ids."""
        result = answer.result()
        ids, end = self._ids, self._end
        found = []
        for pieces, score in zip(result.hypotheses, result.scores or [math.nan], strict=True):
            ended = bool(pieces) and pieces[-1] == end
            if ended:
                del pieces[-1]
            found.append(LibraryHypothesis(tuple([ids[piece] for piece in pieces]), ended, score))
        return found

    def _read_and_rank(
        self,
        batch: Sequence[LibraryRequest],
        answers: Sequence[Any],
        search: LibrarySearch,
        settings: DecodingSettings,
        with_scores: bool,
        results: list[list[Hypothesis]],
    ) -> tuple[list[LibraryRequest], list[LibraryRequest]]:
        """Put the ranked hypotheses of each sentence into `results`.

        Return which sentences are complete, and which must be searched again.
        """
        limit = max(task.limit for task in batch)
        complete, again, found = [], [], []
        for task, answer in zip(batch, answers, strict=True):
            own = self._read(answer)
            if not search.is_complete(task, own, limit):
                again.append(task._replace(is_repeated=True))
                continue
            complete.append(task)
            if search.beam_size == 1:
                own = [cut(hypothesis, task.limit) for hypothesis in own]
            found.append([hypothesis for hypothesis in own if hypothesis.was_chosen])
        penalty = LengthPenalty(settings.length_penalty, settings.length_alpha)
        totals = iter(self._totals(complete, found, search, settings, exact=with_scores))
        for task, own in zip(complete, found, strict=True):
            ranked = []
            for hypothesis in own:
                total = next(totals)
                if math.isfinite(total):
                    score = total / penalty(len(hypothesis.tokens) + 1.0)
                    ranked.append(Hypothesis(hypothesis.tokens, total, score))
            ranked.sort(key=lambda hypothesis: -hypothesis.score)
            results[task.sentence] = ranked[: settings.n_best]
        return complete, again

    def _totals(
        self,
        tasks: Sequence[LibraryRequest],
        found: Sequence[Sequence[LibraryHypothesis]],
        search: LibrarySearch,
        settings: DecodingSettings,
        exact: bool,
    ) -> list[float]:
        """Return the log-probability of every hypothesis of every sentence, end-of-sentence token included.

        Unless they must be `exact`, those under a shortlist are relative to its pieces, which suffices to rank them.
        """
        totals, unknown = [], []
        for task, own in zip(tasks, found, strict=True):
            # The library's score lacks the pieces of a prefix and the end of what was cut, and under a rule that
            # forbids pieces, or with a shortlist, it is relative to those that are left.
            is_theirs = not (task.minimum or task.request.prefix or settings.block_ngrams)
            is_theirs = is_theirs and not (self._has_shortlist and exact)
            for hypothesis in own:
                if is_theirs and hypothesis.ended:
                    totals.append(hypothesis.score * hypothesis.length**search.exponent)
                else:
                    unknown.append((len(totals), (task.request.source, hypothesis.tokens)))
                    totals.append(math.nan)
        scored = self._log_probabilities([pair for _, pair in unknown])
        for (index, _), total in zip(unknown, scored, strict=True):
            totals[index] = total
        return totals

    def _log_probabilities(self, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[float]:
        """Return the log-probabilities of whole targets, end-of-sentence token included, given their sources."""
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
