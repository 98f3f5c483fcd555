"""Which engine translates: the one place that decides it, and that says so if CTranslate2 was not taken on the CPU.

On the CPU CTranslate2 is about twice as fast as our own search (scripts/RESULTS.md), so `auto` takes it whenever it
can do what is asked. On CUDA our own search runs from CUDA graphs, and `auto` takes that.
"""

import threading
from collections.abc import Sequence

import torch

from translator.checkpoints import Bundle
from translator.config import DecodingSettings
from translator.decoding.batch_tokens import automatic_batch_tokens
from translator.decoding.constraints.automata import TokenBytes
from translator.decoding.engine import Engine, NativeEngine
from translator.decoding.ensemble import join_step_models
from translator.errors import CheckpointError, ConfigError, DeviceError, TokenizerError
from translator.interop.ctranslate2.library import require_ctranslate2
from translator.interop.ctranslate2.request import refusals, refuse_foreign
from translator.runtime.console import say
from translator.runtime.host_memory import keep_freed_memory
from translator.text import Tokenizer

AUTO, NATIVE, CTRANSLATE2 = "auto", "native", "ctranslate2"
SEARCHES_ON_A_DEVICE = 2
"""One prepares its next step on the host while the device computes that of the other."""
ENGINES = (AUTO, NATIVE, CTRANSLATE2)


class EngineChoice:
    """Makes and keeps the engines of a run or an ensemble; several threads may ask for one."""

    def __init__(self, bundles: Sequence[Bundle], wanted: str = AUTO) -> None:
        """Raise `ConfigError` for an unknown engine, and for an ensemble with CTranslate2."""
        if wanted not in ENGINES:
            raise ConfigError([f"engine: found {wanted!r}, expected {', '.join(ENGINES[:-1])} or {ENGINES[-1]}"])
        if wanted == CTRANSLATE2 and len(bundles) > 1:
            raise ConfigError(["with: the ctranslate2 engine takes one run; use the native engine for an ensemble"])
        self._bundles, self.wanted = tuple(bundles), wanted
        self._engines: dict[tuple[str, str, bool], Engine] = {}
        self._failures: dict[tuple[str, bool], str] = {}
        """Why CTranslate2 could not load this model, for each `quantize` and `shortlist` that was tried."""
        self._said: set[str] = set()
        self._lock = threading.Lock()

    def for_phrases(self, settings: DecodingSettings, *, banned: bool, required: bool) -> Engine:
        """Return the engine for lines that ban or require text, under settings that perhaps do not.

        Raises `ConfigError` as `__call__` does.
        """
        phrases = {name: ["..."] for name, asked in (("banned", banned), ("required", required)) if asked}
        changed = settings.model_copy(update=phrases)
        if self.wanted == CTRANSLATE2:
            refuse_foreign([], changed)
        return self(changed, " for lines with such constraints")

    def __call__(self, settings: DecodingSettings, lines: str = "") -> Engine:
        """Return the engine for these settings; `lines` says in a message which lines it is for.

        Raises `ConfigError` if no engine, or not the one that was asked for, can do what they say.
        """
        with self._lock:
            if self.wanted == CTRANSLATE2:
                return self._ctranslate2(settings)
            if self.wanted == NATIVE:
                return self._native(settings, "the native engine was asked for")
            if self._bundles[0].machine.device.type != "cpu":
                return self._native(settings, "the native engine is the one on CUDA")
            reasons = self._reasons(settings)
            if not reasons:
                try:
                    return self._ctranslate2(settings)
                except (CheckpointError, DeviceError, TokenizerError) as error:
                    # Not tried again: writing or loading a large model takes seconds.
                    reasons = [self._failures.setdefault((settings.quantize, settings.shortlist), str(error))]
            reason = "; ".join(reasons)
            engine = self._native(settings, f"CTranslate2 cannot be used: {reason}")
            if reason not in self._said:
                self._said.add(reason)
                say(f"engine: native instead of the faster CTranslate2{lines} ({reason})")
            return engine

    def _reasons(self, settings: DecodingSettings) -> list[str]:
        """Return why CTranslate2 cannot do what is asked, as far as that is known without loading the model."""
        reasons = [f"{name}: {reason}" for name, reason in refusals(settings).items()]
        if len(self._bundles) > 1:
            reasons.append("it takes one run and no ensemble")
        if (cell := self._bundles[0].config.model.decoder_cell) != "attention":
            reasons.append(f"it has no {cell} decoder")
        if (precision := self._bundles[0].machine.precision) != "fp32":
            reasons.append(f"precision={precision}: on the CPU it computes in fp32 or int8")
        if (failure := self._failures.get((settings.quantize, settings.shortlist))) is not None:
            reasons.append(failure)
        try:
            require_ctranslate2()
        except ConfigError:
            reasons.append("the package ctranslate2 cannot be imported")
        return reasons

    def _ctranslate2(self, settings: DecodingSettings) -> Engine:
        key = CTRANSLATE2, settings.quantize, settings.shortlist
        if key not in self._engines:
            from translator.interop.ctranslate2.engine import CTranslate2Engine

            self._engines[key] = CTranslate2Engine.of(
                self._bundles[0], quantize=settings.quantize, shortlist=settings.shortlist
            )
        return self._engines[key]

    def _native(self, settings: DecodingSettings, reason: str) -> Engine:
        if settings.quantize != "none":
            raise ConfigError(
                [
                    f"decoding.quantize: {settings.quantize} is done by CTranslate2 on the CPU, but {reason}; "
                    "set it to none"
                ]
            )
        if settings.shortlist:
            raise ConfigError(
                [f"decoding.shortlist: shortlists are for CTranslate2 on the CPU, but {reason}; set it to false"]
            )
        key = NATIVE, "none", False
        if key not in self._engines:
            on_cpu = self._bundles[0].machine.device.type == "cpu"
            if on_cpu:
                keep_freed_memory()
            self._engines[key] = NativeEngine(
                join_step_models(self._bundles),
                _token_bytes(self._bundles[0].tokenizers.target),
                workers=torch.get_num_threads() if on_cpu else SEARCHES_ON_A_DEVICE,
                automatic_batch_tokens=automatic_batch_tokens(
                    [bundle.model for bundle in self._bundles], self._bundles[0].machine
                ),
            )
        return self._engines[key]


def _token_bytes(tokenizer: Tokenizer) -> TokenBytes:
    """Return the bytes that each piece of a vocabulary spells; special tokens and language tags spell none."""
    silent = [tokenizer.bos_id, tokenizer.eos_id, tokenizer.unk_id, *tokenizer.tags.values()]
    return TokenBytes(tokenizer.pieces(range(tokenizer.vocab_size)), silent)
