"""What every export says about a run in its README.md: languages, shape, data, and scores with their signatures."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any, NamedTuple

from translator.checkpoints import Bundle
from translator.config import Config
from translator.model import count_parameters
from translator.runtime.counted import counted
from translator.runtime.json_files import mismatch

_ENTRY = {
    "test_set": str,
    "sentences": int,
    "weights": str,
    "together_with?": [object],
    "scores": [{"name": str, "value": float, "signature": str}],
}


class Score(NamedTuple):
    """One score of the exported weights on a test set."""

    test_set: str
    sentences: int
    metric: str
    value: float
    signature: str


def scores_of(entries: Iterable[Mapping[str, Any]], weights: str) -> list[Score]:
    """Return the newest scores of the weights called `weights` from the `entries` of a run's scores.json.

    Evaluations of several runs together, and entries of another form, are left out.
    """
    found: dict[tuple[str, str], Score] = {}
    for entry in entries:
        if mismatch(entry, _ENTRY) is None and entry["weights"] == weights and not entry.get("together_with"):
            for score in entry["scores"]:
                key = entry["test_set"], score["name"]
                found.pop(key, None)
                found[key] = Score(key[0], entry["sentences"], key[1], score["value"], score["signature"])
    return list(found.values())


def languages_of(bundle: Bundle) -> tuple[str | None, list[str]]:
    """Return the source language, if it is known, and the target languages, as far as they are known."""
    data = bundle.config.data
    if data.language_tags:
        return data.source_language, sorted(bundle.tokenizers.source.tags)
    return data.source_language, [data.target_language] if data.target_language else []


def describe_run(bundle: Bundle) -> list[str]:
    """Return lines of Markdown about the model and the data that it was trained on."""
    settings = bundle.config.model
    return [
        f"* {counted(settings.encoder_layers, 'encoder layer')} and "
        f"{counted(settings.decoder_layers, 'decoder layer')}, d_model "
        f"{settings.d_model}, {count_parameters(bundle.model):,} parameters; weights `{bundle.weights}` after "
        f"{counted(bundle.step, 'step')}.",
        f"* Layer normalisation {'before' if settings.norm == 'pre' else 'after'} each block, {settings.activation}, "
        f"{settings.positions} positions, {vocabulary_text(bundle)}.",
        *_data_lines(bundle.config),
    ]


def vocabulary_text(bundle: Bundle) -> str:
    """Name the vocabularies and their sizes."""
    source, target = bundle.tokenizers.sizes
    if bundle.tokenizers.share_ids:
        return f"{target:,} SentencePiece pieces for both languages"
    return f"{source:,} SentencePiece pieces for the source and {target:,} for the target"


def describe_scores(scores: Sequence[Score]) -> list[str]:
    """Return a table of scores in Markdown, or a sentence if there are none."""
    if not scores:
        return ["Not evaluated yet (`translator evaluate RUN`, then export again)."]
    return [
        "| test set | sentences | metric | score | signature |",
        "|---|---|---|---|---|",
        *(
            f"| {_cell(score.test_set)} | {score.sentences:,} | {_cell(score.metric)} | {score.value:.2f} | "
            f"`{_cell(score.signature)}` |"
            for score in scores
        ),
    ]


def _data_lines(config: Config) -> list[str]:
    lines = []
    labels = {"train": "Trained on", "valid": "Checkpoints chosen on", "test": "Tested on"}
    for name, label in labels.items():
        corpora = getattr(config.data, name)
        if corpora is not None:
            entries = corpora if isinstance(corpora, list) else [corpora]
            paths = [getattr(entry, "path", entry) for entry in entries]
            lines.append(f"* {label}: {', '.join(f'`{_corpus(path)}`' for path in paths)}.")
    if config.start_from is not None:
        lines.append(f"* Fine-tuned from `{PurePath(str(config.start_from)).name}`.")
    return lines


def _corpus(path: Any) -> str:
    """Name a corpus without the directories of the machine that it is on."""
    if isinstance(path, list):
        return " and ".join(map(_corpus, path))
    return str(path) if str(path).startswith("hub:") else PurePath(str(path)).name


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
