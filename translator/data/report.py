"""A report on prepared data: counts, what cleaning dropped, lengths, unknown pieces, the preset that suits."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from translator.config import Config, prepared_directory, read_run_config, suggest_preset
from translator.config.paths import RUN_CONFIG
from translator.data.dataset import ParallelDataset
from translator.data.dropped import describe_dropped, describe_examples
from translator.data.manifest import MANIFEST
from translator.data.prepared import PreparedData
from translator.errors import DataError
from translator.text import Tokenizer
from translator.text.formats.synthetic import is_synthetic

PERCENTILES = (50, 90, 95, 99)
_CHUNK_PAIRS = 65_536


def find_prepared(directory: Path) -> Path:
    """Return `directory` if it holds prepared data, or the prepared data of the run that it holds; else `DataError`."""
    if is_synthetic(directory):
        raise DataError(
            f"{directory} is a corpus of `translator synthesize`, not prepared data; for its figures, name it as a "
            f"corpus: `translator data report data.train={directory}`"
        )
    if (directory / MANIFEST).is_file():
        return directory
    if (directory / RUN_CONFIG).is_file():
        return prepared_directory(read_run_config(directory), directory)
    # `data prepare` makes the data of a run before there is a run.
    if ((inside := prepared_directory(Config(), directory)) / MANIFEST).is_file():
        return inside
    raise DataError(
        f"{directory} is neither a run (it has no {RUN_CONFIG}) nor prepared data (no {MANIFEST}); make them "
        "with `translator data prepare`"
    )


def report(prepared: PreparedData) -> dict[str, Any]:
    """Return the figures of prepared data as values for JSON; rates are shares of all pieces of a side."""
    counts = prepared.manifest["counts"]
    sets = {"train": prepared.train, "valid": prepared.valid, "test": prepared.test}
    tokenizers = prepared.tokenizers
    return {
        "directory": str(prepared.directory),
        "languages": prepared.manifest["languages"],
        "vocab_size": prepared.manifest["vocab_size"],
        "read": counts["pairs"] + counts["held_out"],
        "held_out": counts["held_out"],
        "dropped": counts["dropped"],
        "altered": counts.get("altered", {}),
        "skipped": counts.get("skipped", {}),
        "examples": counts.get("examples", {}),
        "corpora": counts.get("corpora", []),
        "sets": {
            name: {
                "pairs": len(dataset),
                "source": _describe_side(dataset, "source", tokenizers.source),
                "target": _describe_side(dataset, "target", tokenizers.target),
            }
            for name, dataset in sets.items()
            if dataset is not None
        },
        "suggested_preset": suggest_preset(prepared.train.tokens),
    }


def describe_report(figures: dict[str, Any]) -> str:
    """Lay out the figures of `report` for people."""
    directions = {tuple(entry["languages"]) for entry in figures["corpora"]} or {tuple(figures["languages"])}
    source, target = (" and ".join(sorted({side or "?" for side in sides})) for sides in zip(*directions, strict=True))
    pieces = " and ".join(f"{size:,}" for size in dict.fromkeys(figures["vocab_size"]))
    train = figures["sets"]["train"]["pairs"]
    lines = [
        f"{figures['directory']}: {source} to {target}, {pieces} pieces in the vocabulary",
        "",
        *describe_dropped(figures["read"], train, figures["held_out"], figures["dropped"], figures["skipped"]),
        *_describe_altered(figures),
        *_describe_corpora(figures["corpora"]),
        "",
        f"{'':<14}{'pairs':>12}{'pieces':>14}{'mean':>8}"
        + "".join(f"{f'{percent} %':>7}" for percent in PERCENTILES)
        + f"{'longest':>9}{'unknown':>11}{'in bytes':>11}",
        *(
            f"{f'{name} {side}':<14}{entry['pairs']:>12,}{_describe_row(entry[side])}"
            for name, entry in figures["sets"].items()
            for side in ("source", "target")
        ),
        "",
        "Lengths are in pieces, without EOS. `unknown`: pieces that replace lost text; `in bytes`:",
        "pieces that spell one byte of a character that has no piece of its own.",
        f"preset that suits the text: {figures['suggested_preset']}",
        *describe_examples(figures["examples"]),
    ]
    return "\n".join(lines) + "\n"


def _describe_altered(figures: dict[str, Any]) -> list[str]:
    """Return the lines that the tokenizer does not give back, with examples."""
    rows = []
    train = figures["sets"]["train"]["pairs"]
    for side, altered in figures["altered"].items():
        if altered["lines"]:
            share = 100 * altered["lines"] / train
            rows += ["", f"{altered['lines']:,} training lines of the {side} ({share:.2f} %) do not come back from the "
                     "tokenizer as they are:"]  # fmt: skip
            rows += [f"  {text!r} comes back as {found!r}" for text, found in altered["examples"]]
    return rows


def _describe_corpora(corpora: list[dict[str, Any]]) -> list[str]:
    """Return a line for each corpus, if there are several."""
    if len(corpora) < 2:
        return []
    directions = [" to ".join(language or "?" for language in entry["languages"]) for entry in corpora]
    rows = [
        f"  {entry['train']:>12,}  of {entry['pairs']:,} {direction}, {entry['name']}"
        for entry, direction in zip(corpora, directions, strict=True)
    ]
    return ["", "kept of each corpus", *rows]


def _describe_row(side: dict[str, Any]) -> str:
    return (
        f"{side['pieces']:>14,}{side['mean']:>8.1f}"
        + "".join(f"{side['percentiles'][str(percent)]:>7,}" for percent in PERCENTILES)
        + f"{side['longest']:>9,}{100 * side['unknown_rate']:>9.3f} %{100 * side['byte_rate']:>9.3f} %"
    )


def _describe_side(dataset: ParallelDataset, side: str, tokenizer: Tokenizer) -> dict[str, Any]:
    lengths = dataset.source_lengths if side == "source" else dataset.target_lengths
    uses = np.zeros(tokenizer.vocab_size, dtype=np.int64)
    for tokens in _pieces(dataset, side):
        uses += np.bincount(tokens, minlength=tokenizer.vocab_size)
    total = int(uses.sum())
    in_bytes = sum(int(uses[piece]) for piece in range(tokenizer.vocab_size) if tokenizer.is_byte(piece))
    return {
        "pieces": total,
        "mean": float(lengths.mean()),
        # A length that occurs, not the mean of two.
        "percentiles": {
            str(percent): int(np.percentile(lengths, percent, method="inverted_cdf")) for percent in PERCENTILES
        },
        "longest": int(lengths.max()),
        "unknown_rate": int(uses[tokenizer.unk_id]) / max(total, 1),
        "byte_rate": in_bytes / max(total, 1),
    }


def _pieces(dataset: ParallelDataset, side: str) -> Iterator[np.ndarray]:
    for start in range(0, len(dataset), _CHUNK_PAIRS):
        gathered = dataset.gather(np.arange(start, min(start + _CHUNK_PAIRS, len(dataset))))
        yield gathered.source_tokens if side == "source" else gathered.target_tokens
