"""Compares runs with their exports: one row of a table for each run, in Markdown.

    python scripts/check_exports.py RUN ... --source data/test.en --reference data/test.de [--lines 1000]

Columns: the model's class in transformers; the largest difference of a logit on the first 200 pairs; lines with the
same piece ids; lines with the same translation by piece ids, greedily, with beam 5 and the penalty n ** 0.6, which both
have, and with beam 5 and the run's own settings; the largest difference of CTranslate2's log-probability of a piece.
With ARGOS_PYTHON, the Python of an environment with argostranslate, also lines of the first 100 that Argos Translate
translates as CTranslate2 does with its settings. Needs the extra bench. A run with tags translates into its first
language. Exits with 1 if anything but the run's own penalty differs.
"""

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from translator.attention import pack
from translator.checkpoints import Bundle, load_bundle
from translator.config import DecodingSettings
from translator.decoding.engine import NativeEngine
from translator.decoding.hypothesis import LengthPenalty, Request
from translator.decoding.scoring import score_pairs
from translator.inference import TransformerStepModel
from translator.interop.argos import export_argos
from translator.interop.ctranslate2 import export_ctranslate2
from translator.interop.huggingface import export_huggingface

LOGIT_LINES, ARGOS_LINES, BATCH, LONGEST = 200, 100, 64, 120
ARGOS_SCRIPT = Path(__file__).parents[1] / "tests/interop/argos/argos_translate.py"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--lines", type=int, default=1000)
    options = parser.parse_args()
    texts, references = (
        path.read_text(encoding="utf-8").splitlines()[: options.lines] for path in (options.source, options.reference)
    )
    print("| run | class | logits | pieces | greedy | beam 5 | beam 5, own penalty | CTranslate2 | Argos |")
    print("|---|---|---|---|---|---|---|---|---|")
    is_equal = True
    for run in options.runs:
        with tempfile.TemporaryDirectory(prefix="translator-") as directory:
            check = Check(load_bundle(run, device="cpu"), Path(directory), texts, references)
            counts = [check.pieces(), check.translations(1, "mean"), check.translations(5, "mean")]
            own = check.translations(5, None)
            logits, log_probabilities, argos = check.logits(), check.log_probabilities(), check.argos()
        total = len(texts)
        cells = [
            run.name, check.kind, f"{logits:.1e}", *(f"{count:,}" for count in [*counts, own]),
            f"{log_probabilities:.1e}", "-" if argos is None else f"{argos} of {min(ARGOS_LINES, total)}",
        ]  # fmt: skip
        print(f"| {' | '.join(cells)} |", flush=True)
        argos_is_equal = argos in (None, min(ARGOS_LINES, total))
        is_equal &= counts == [total] * 3 and max(logits, log_probabilities) < 1e-3 and argos_is_equal
    return 0 if is_equal else 1


class Check:
    """One run and its exports."""

    def __init__(self, bundle: Bundle, directory: Path, texts: Sequence[str], references: Sequence[str]) -> None:
        transformers: Any = importlib.import_module("transformers")
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        self.bundle, self.directory, self.texts = bundle, directory, texts
        path = export_huggingface(bundle, directory / "huggingface")
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(path)
        self.model = transformers.AutoModelForSeq2SeqLM.from_pretrained(path).eval()
        self.kind = type(self.model).__name__
        tags = bundle.tokenizers.source.tags if bundle.config.data.language_tags else {}
        self.prefix = f">>{min(tags)}<< " if tags else ""
        tag = [tags[min(tags)]] if tags else []
        self.sources = [[*tag, *pieces] for pieces in bundle.tokenizers.source.encode(texts)]
        self.targets = bundle.tokenizers.target.encode(references)

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
    def translations(self, beam_size: int, penalty: str | None) -> int:
        """Count the equal translations with a beam and a length penalty, the run's own if it is None."""
        decoding = self.bundle.config.decoding
        settings = DecodingSettings(
            beam_size=beam_size, max_length_factor=0.0, max_length_extra=LONGEST,
            length_penalty="mean" if penalty == "mean" else decoding.length_penalty,
            length_alpha=0.6 if penalty == "mean" else decoding.length_alpha,
        )  # fmt: skip
        engine = NativeEngine(TransformerStepModel.of(self.bundle))
        found = engine.search([Request(tuple(source)) for source in self.sources], settings, with_scores=False)
        exponent = LengthPenalty(settings.length_penalty, settings.length_alpha).exponent
        order = sorted(range(len(self.sources)), key=lambda index: len(self.sources[index]))
        eos, start, equal = self.model.config.eos_token_id, self.model.config.decoder_start_token_id, 0
        for first in range(0, len(order), BATCH):
            rows = order[first : first + BATCH]
            batch = self.tokenizer([self.prefix + self.texts[row] for row in rows], return_tensors="pt", padding=True)
            options = {"length_penalty": exponent} if beam_size > 1 else {}
            generated = self.model.generate(**batch, num_beams=beam_size, max_length=LONGEST + 2, **options)
            for row, ids in zip(rows, generated.tolist(), strict=True):
                expected = [start, *found[row][0].tokens, eos]
                equal += ids[: len(expected)] == expected and set(ids[len(expected) :]) <= {start}
        return equal

    def log_probabilities(self) -> float:
        """Return the largest difference of the log-probability of a piece of the references in CTranslate2."""
        library: Any = importlib.import_module("ctranslate2")
        path = export_ctranslate2(self.bundle, self.directory / "ctranslate2")
        translator = library.Translator(str(path), compute_type="float32", intra_threads=1)
        source, target = self.bundle.tokenizers.source, self.bundle.tokenizers.target
        theirs = translator.score_batch(
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
        """Count the lines that Argos Translate translates as CTranslate2 does; None without it, or for tags."""
        python = os.environ.get("ARGOS_PYTHON")
        if python is None or self.prefix:
            return None
        library: Any = importlib.import_module("ctranslate2")
        package = export_argos(self.bundle, self.directory / "run.argosmodel")
        texts = self.texts[:ARGOS_LINES]
        home = {"HOME": str(self.directory), "XDG_DATA_HOME": str(self.directory), "ARGOS_COMPUTE_TYPE": "float32"}
        finished = subprocess.run(
            [python, str(ARGOS_SCRIPT), str(package)], input=json.dumps(texts), stdout=subprocess.PIPE, text=True,
            check=True, env={"PATH": os.environ["PATH"], **home},
        )  # fmt: skip
        translator = library.Translator(str(self.directory / "ctranslate2"), compute_type="float32", intra_threads=1)
        source, target = self.bundle.tokenizers.source, self.bundle.tokenizers.target
        pieces = [source.pieces(ids) for ids in self.sources[: len(texts)]]
        answers = translator.translate_batch(pieces, beam_size=4, length_penalty=0.2)
        expected: list[str] = [target.decode_pieces(answer.hypotheses[0]).replace("_", " ") for answer in answers]
        found: list[str] = json.loads(finished.stdout)["translations"]
        return sum(1 for one, other in zip(expected, found, strict=True) if one == other)


if __name__ == "__main__":
    sys.exit(main())
