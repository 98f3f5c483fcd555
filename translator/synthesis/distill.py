"""Distillation (Kim and Rush 2016): a student is trained on what its teachers make of the training sources.

The steps are those of `synthesize` and `train`, and each continues where it was interrupted.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from translator.checkpoints import Bundle
from translator.config import Config, DecodingSettings, complete_config, entries_of, read_run_config
from translator.config.corpus_spec import is_list_of_entries
from translator.config.load import read_settings
from translator.data.corpora import open_corpora
from translator.distributed.world import World
from translator.errors import ConfigError
from translator.runtime.console import say
from translator.synthesis.lines import CorpusLines
from translator.synthesis.synthesize import Wanted, synthesize
from translator.text.corpus import KNOWN_COLUMNS
from translator.text.tokenizer_pair import JOINT_MODEL, tokenizer_files
from translator.training import TrainingResult, train
from translator.translation import Translator

STUDENT = "student"
"""The preset of a student whose settings name none."""


def student_config(teacher: str | Path, run: str | Path, words: Sequence[str] = ()) -> Config:
    """Return the settings of a student: those that `KEY=VALUE` words state, and otherwise what it has of its teacher.

    It has the teacher's corpora and cleaning, without the word links of their targets, and the teacher's vocabulary
    unless a setting of `tokenizer` is stated. Raises `ConfigError` with all mistakes.
    """
    stated = read_settings(None, words)
    if stated.run is not None or stated.start_from is not None or stated.data.prepared is not None:
        raise ConfigError(["run, start_from, data.prepared: a student has a run and data of its own; leave them out"])
    own = read_run_config(teacher)
    if stated.data.alignments is not None or any(entry.alignments for entry in entries_of(stated.data.train)):
        raise ConfigError(
            ["alignments: a student learns from translations of its teachers, which these word links do not belong to; "
             "leave them out"]
        )  # fmt: skip
    values: dict[str, Any] = {"preset": STUDENT, "data": own.data.model_dump(exclude={"prepared", "alignments"})}
    for entry in values["data"]["train"] if is_list_of_entries(own.data.train) else ():
        entry["alignments"] = None
    if not stated.tokenizer.model_fields_set:
        files = [str(Path(teacher) / name) for name in tokenizer_files((Path(teacher) / JOINT_MODEL).is_file())]
        values["tokenizer"] = {"model": files[0] if len(files) == 1 else files}
        values["model"] = {"tie_embeddings": own.model.tie_embeddings}
    for name, value in stated.model_dump(exclude_unset=True).items():
        values[name] = {**values.get(name, {}), **value} if isinstance(value, dict) else value
    return complete_config(Config.model_validate({**values, "run": str(run)}))


def distill(
    translator: Translator,
    student: Config,
    output: Path,
    settings: DecodingSettings,
    wanted: Wanted,
    *,
    references: bool = False,
    scorer: Bundle | None = None,
    world: World | None = None,
) -> TrainingResult:
    """Let teachers translate the training sources of `student` into `output`, and train the student on that.

    Each training corpus becomes a directory in `output`; with `references` the student is trained on the corpora as
    they are as well, and `training.stages` give translations the weights of their references. Its validation and test
    corpora stay as they are. `settings`, `wanted`, `scorer` and `world` are as in `synthesize`.
    """
    corpora = open_corpora(student.data)["train"]
    entries = entries_of(student.data.train)
    paths = []
    for index, corpus in enumerate(corpora):
        paths.append(output / f"corpus-{index + 1}")
        to = corpus.languages[1] if student.data.language_tags else None
        synthesize(
            translator, CorpusLines(corpus), paths[-1], settings, replace(wanted, to=to), scorer=scorer, world=world
        )
    if student.data.valid is None:
        also = ", and their references," if references else ""
        say(f"no data.valid is set: what the teachers made of the last sources{also} is held out for validation")
    stated = [entry.model_dump() for entry in entries]
    if references and not is_list_of_entries(student.data.train) and corpora[0].languages not in KNOWN_COLUMNS:
        # The settings say which side of one corpus is the source, but not of those in a list.
        stated[0] |= dict(zip(("source_language", "target_language"), corpora[0].languages, strict=True))
    # What belongs to the pairs of a corpus does not belong to those that are made of it.
    not_theirs = {"scores": None, "score_column": None, "alignments": None}
    trained: Any = [{**entry, **not_theirs, "path": str(path)} for entry, path in zip(stated, paths, strict=True)]
    values = student.model_dump(exclude_unset=True)
    if references:
        trained = [*stated, *trained]
        if student.training.stages:
            # Translations have the weights of their references there, as they have in the entries.
            stages = values["training"]["stages"]
            values["training"]["stages"] = [{**stage, "weights": stage["weights"] * 2} for stage in stages]
    elif not is_list_of_entries(student.data.train):
        trained = str(paths[0])
    return train(Config.model_validate({**values, "data": {**values["data"], "train": trained}}))
