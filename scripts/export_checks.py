"""A run against its exports on given lines: what a row of `check_exports.py` says."""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from translator.attention import pack
from translator.checkpoints import Bundle
from translator.config import DecodingSettings
from translator.decoding.engine import NativeEngine
from translator.decoding.hypothesis import LengthPenalty, Request
from translator.decoding.scoring import score_pairs
from translator.errors import CheckpointError, ConfigError
from translator.inference import TransformerStepModel
from translator.interop.argos import export_argos
from translator.interop.ctranslate2 import export_ctranslate2
from translator.interop.huggingface import export_huggingface

LOGIT_LINES, ARGOS_LINES, BATCH, LONGEST, EXPONENT, TIE = 200, 100, 64, 120, 0.6, 1e-4
ARGOS_SCRIPT = Path(__file__).parents[1] / "tests/interop/argos/argos_translate.py"


class Row(NamedTuple):
    """Cells of a row of the table."""

    cells: Sequence[str]
    is_equal: bool = True


class Difference(NamedTuple):
    """A line with two translations, as piece ids with the end-of-sentence token."""

    row: int
    ours: Sequence[int]
    theirs: Sequence[int]


class Check:
    """One run, and the lines on which it is compared with its exports."""

    def __init__(self, bundle: Bundle, directory: Path, texts: Sequence[str], references: Sequence[str]) -> None:
        self.bundle, self.directory, self.texts = bundle, directory, texts
        tags = bundle.tokenizers.source.tags if bundle.config.data.language_tags else {}
        self.prefix = f">>{min(tags)}<< " if tags else ""
        tag = [tags[min(tags)]] if tags else []
        self.sources = [[*tag, *pieces] for pieces in bundle.tokenizers.source.encode(texts)]
        self.targets = bundle.tokenizers.target.encode(references)


class TransformersCheck(Check):
    """A run and its export for transformers."""

    model: Any
    tokenizer: Any

    def row(self) -> Row:
        """Export, load and compare."""
        transformers: Any = importlib.import_module("transformers")
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        try:
            path = export_huggingface(self.bundle, self.directory / "huggingface")
        except ConfigError:
            return Row(["-"] * 7)
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(path)
        self.model = transformers.AutoModelForSeq2SeqLM.from_pretrained(path).eval()
        greedy, whole = self.differences(1, "mean"), self.differences(5, "mean", stop="never")
        others = [self.differences(5, penalty) for penalty in ("mean", None)]
        logits, total = self.logits(), len(self.texts)
        counts = [self.pieces(), *(total - len(found) for found in (greedy, whole, *others))]
        gaps = self.report("greedy", greedy) + self.report("beam 5", whole)
        cells = [type(self.model).__name__, f"{logits:.1e}", *(f"{count:,}" for count in counts)]
        return Row(cells, counts[0] == total and max([logits, *gaps]) < TIE)

    @torch.inference_mode()
    def report(self, search: str, differences: Sequence[Difference]) -> list[float]:
        """Say on stderr how far apart both translations of each line are, in nats, and return that."""
        target, model, gaps = self.bundle.tokenizers.target, self.bundle.model, []
        for row, ours, theirs in differences:
            line = f"{self.bundle.directory.name}, line {row + 1}, {search}"
            if search != "greedy" and LONGEST + 1 in (len(ours), len(theirs)):
                print(f"{line}: one is cut at the limit, where only ours is charged for its end", file=sys.stderr)
                continue
            source = pack([[*self.sources[row], target.eos_id]])
            found = [
                model.logits(model(source, pack([[target.bos_id, *pieces[:-1]]])))
                .log_softmax(-1)
                .gather(-1, torch.tensor(pieces)[:, None])
                for pieces in (ours, theirs)
            ]
            if search == "greedy":
                # Where they part.
                index = next(
                    index for index, (one, other) in enumerate(zip(ours, theirs, strict=False)) if one != other
                )
                gap = (found[0][index] - found[1][index]).abs().item()
            else:
                means = [one.sum().item() / len(one) ** EXPONENT for one in found]
                gap = abs(means[0] - means[1])
            gaps.append(gap)
            print(f"{line}: {gap:.1e} nats apart", file=sys.stderr)
        return gaps

    def pieces(self) -> int:
        """Count the lines that both tokenizers split alike."""
        eos = self.bundle.tokenizers.source.eos_id
        found = self.tokenizer([self.prefix + text for text in self.texts]).input_ids
        return sum(ids == [*source, eos] for ids, source in zip(found, self.sources, strict=True))

    @torch.inference_mode()
    def logits(self) -> float:
        """Return the largest difference of a logit; where theirs have more pieces, these do not count."""
        target, model, largest = self.bundle.tokenizers.target, self.bundle.model, 0.0
        start = self.model.config.decoder_start_token_id
        for source, pieces in list(zip(self.sources, self.targets, strict=True))[:LOGIT_LINES]:
            ours = model.logits(model(pack([[*source, target.eos_id]]), pack([[target.bos_id, *pieces]])))
            theirs = self.model(
                input_ids=torch.tensor([[*source, target.eos_id]]), decoder_input_ids=torch.tensor([[start, *pieces]])
            ).logits[0]
            difference = (ours - theirs[:, : ours.shape[1]]).abs()
            if target.zero_start and start < ours.shape[1]:
                difference[:, start] = 0.0
            largest = max(largest, difference.max().item())
        return largest

    @torch.inference_mode()
    def differences(self, beam_size: int, penalty: str | None, stop: Any = False) -> list[Difference]:
        """Return the lines with another translation, with a beam and a length penalty, the run's own if it is None.

        `stop` is the library's `early_stopping`. By default it takes the length that a hypothesis has so far for its
        final length, so that it can miss a longer one with a better mean.
        """
        decoding = self.bundle.config.decoding
        settings = DecodingSettings(
            beam_size=beam_size, max_length_factor=0.0, max_length_extra=LONGEST,
            length_penalty="mean" if penalty == "mean" else decoding.length_penalty,
            length_alpha=EXPONENT if penalty == "mean" else decoding.length_alpha,
        )  # fmt: skip
        engine = NativeEngine(TransformerStepModel.of(self.bundle))
        found = engine.search([Request(tuple(source)) for source in self.sources], settings, with_scores=False)
        exponent = LengthPenalty(settings.length_penalty, settings.length_alpha).exponent
        order = sorted(range(len(self.sources)), key=lambda index: len(self.sources[index]))
        eos = self.model.config.eos_token_id
        differences = []
        for first in range(0, len(order), BATCH):
            rows = order[first : first + BATCH]
            batch = self.tokenizer([self.prefix + self.texts[row] for row in rows], return_tensors="pt", padding=True)
            # Ours end with the end-of-sentence token at the limit, too; without it they would have one piece more.
            options = {"max_length": LONGEST + 2, "forced_eos_token_id": eos}
            if beam_size > 1:
                options |= {"num_beams": beam_size, "length_penalty": exponent, "early_stopping": stop}
            generated = self.model.generate(**batch, **{"num_beams": 1, **options})
            for row, ids in zip(rows, generated.tolist(), strict=True):
                ours = [*found[row][0].tokens, eos]
                theirs = ids[1 : ids.index(eos) + 1]
                if ours != theirs:
                    differences.append(Difference(row, ours, theirs))
        return differences


class LibraryCheck(Check):
    """A run and its exports for CTranslate2 and Argos Translate."""

    translator: Any

    def row(self) -> Row:
        """Export, load and compare."""
        library: Any = importlib.import_module("ctranslate2")
        try:
            path = export_ctranslate2(self.bundle, self.directory / "ctranslate2", fewest_positions=1024)
        except CheckpointError:
            return Row(["-"] * 2)
        self.translator = library.Translator(str(path), compute_type="float32", intra_threads=1)
        log_probabilities, argos = self.log_probabilities(), self.argos()
        wanted = min(ARGOS_LINES, len(self.texts))
        cells = [f"{log_probabilities:.1e}", "-" if argos is None else f"{argos} of {wanted}"]
        return Row(cells, log_probabilities < TIE and argos in (None, wanted))

    def log_probabilities(self) -> float:
        """Return the largest difference of the log-probability of a piece of the references in CTranslate2."""
        source, target = self.bundle.tokenizers.source, self.bundle.tokenizers.target
        theirs = self.translator.score_batch(
            [source.pieces(ids) for ids in self.sources], [target.pieces(ids) for ids in self.targets],
            max_batch_size=BATCH,
        )  # fmt: skip
        ours = score_pairs([TransformerStepModel.of(self.bundle)], self.sources, self.targets)
        largest: float = max(
            abs(one - other)
            for mine, found in zip(ours, theirs, strict=True)
            if mine is not None
            for one, other in zip(mine.log_probabilities, found.log_probs, strict=True)
        )
        return largest

    def argos(self) -> int | None:
        """Count the lines that Argos Translate translates as CTranslate2 does; None without it, or if it is refused."""
        python = os.environ.get("ARGOS_PYTHON")
        if python is None:
            return None
        try:
            package = export_argos(self.bundle, self.directory / "run.argosmodel")
        except ConfigError:
            return None
        texts = self.texts[:ARGOS_LINES]
        home = {"HOME": str(self.directory), "XDG_DATA_HOME": str(self.directory), "ARGOS_COMPUTE_TYPE": "float32"}
        finished = subprocess.run(
            [python, str(ARGOS_SCRIPT), str(package)], input=json.dumps(texts), stdout=subprocess.PIPE, text=True,
            check=True, env={"PATH": os.environ["PATH"], **home},
        )  # fmt: skip
        source, target = self.bundle.tokenizers.source, self.bundle.tokenizers.target
        pieces = [source.pieces(ids) for ids in self.sources[: len(texts)]]
        answers = self.translator.translate_batch(pieces, beam_size=4, length_penalty=0.2, replace_unknowns=True)
        # It puts a piece of the source in place of an unknown one, boundary of a word and all.
        expected = [
            target.decode_pieces(answer.hypotheses[0]).replace("\u2581", " ").replace("_", " ") for answer in answers
        ]
        found: list[str] = json.loads(finished.stdout)["translations"]
        return sum(1 for one, other in zip(expected, found, strict=True) if one == other)
