"""Which head learns given word links (`training.guided_alignment`), and whether the settings allow it."""

import re

from translator.config.corpus_spec import entries_of
from translator.config.heads import Head
from translator.config.schema import Config
from translator.config.sections import ModelSettings, TrainingSettings

_HEAD = re.compile(r"(?:cross\.)?([1-9]\d{0,5})\.([1-9]\d{0,5})")


def guided_head(training: TrainingSettings, model: ModelSettings) -> Head | None:
    """Return the head of the cross-attention that learns word links; None if none does.

    The settings must have no mistakes (`guided_mistakes`).
    """
    return _named(training, model) if training.guided_alignment else None


def _named(training: TrainingSettings, model: ModelSettings) -> Head | None:
    if training.guided_alignment_head == "auto":
        # What the last layer attends to serves the choice of the next word more than the alignment.
        return Head("cross", max(model.decoder_layers - 1, 1), 1)
    found = _HEAD.fullmatch(training.guided_alignment_head)
    return Head("cross", int(found[1]), int(found[2])) if found else None


def guided_mistakes(config: Config) -> list[str]:
    """Return a sentence for every contradiction among the settings of guided alignment."""
    training, data, problems = config.training, config.data, []
    head, counts = _named(training, config.model), config.model.heads("cross")
    stated = training.guided_alignment_head != "auto"
    if stated and (head is None or head.layer > len(counts) or head.head > counts[head.layer - 1]):
        problems.append(
            f"training.guided_alignment_head: found {training.guided_alignment_head!r}, expected `auto` or LAYER.HEAD "
            f"with a layer from 1 to {len(counts)} and one of its heads ({', '.join(map(str, counts))}), such as 1.1"
        )
    has_links = data.alignments is not None or any(entry.alignments for entry in entries_of(data.train))
    if training.guided_alignment and data.train is not None and not has_links:
        problems.append(
            "training.guided_alignment: no training corpus has word links to learn; set data.alignments to a file of "
            "them, or `alignments` in an entry of data.train, or leave training.guided_alignment out"
        )
    return problems
