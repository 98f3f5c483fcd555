"""The names of what is stored in a run directory.

RUN/config.yaml                   resolved settings
RUN/tokenizer.model               the vocabulary (or tokenizer.source.model, tokenizer.target.model)
RUN/tokenizer.vocabulary.json     the ids of its pieces, if they are not those of the model (one for each model)
RUN/prepared/                     prepared data, unless `data.prepared` names another directory
RUN/checkpoints/step-00001000/    weights, optimizer and position, complete if it exists
RUN/models/final/                 the weights that the run ended with; other names from `translator average`
RUN/metrics.jsonl                 one line for every log point and validation
RUN/tensorboard/                  the same for TensorBoard, if asked for
RUN/plot.png                      a picture of them (`translator plot`)
RUN/scores.json                   every evaluation, with signatures
RUN/alignment.json                the head of the cross-attention that alignments come from
RUN/shortlist.txt                 the target pieces of each source piece (`translator shortlist`)
RUN/exports/                      the model for other engines, made when first asked for

A checkpoint or model called `damaged-...` was found damaged and set aside (`recovery.py`); nothing counts or deletes
it.
"""

import os
import re
from pathlib import Path

from translator.config.paths import RUN_CONFIG, RUN_FOLDERS
from translator.errors import CheckpointError
from translator.runtime.directories import DAMAGED, refuse_links, remove_directory
from translator.text.tokenizer_pair import TOKENIZER_NAMES

_STEP = re.compile(r"step-(\d{8})$")
FINAL = "final"
_MEANT = ("last", "best", FINAL)
"""Names that mean weights which training chooses; `final` is its own to replace."""
_LONGEST_NAME = 100


class RunDirectory:
    """Names inside a run directory."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.config = self.root / RUN_CONFIG
        self.metrics = self.root / "metrics.jsonl"
        self.tensorboard = self.root / "tensorboard"
        self.plot = self.root / "plot.png"
        self.shortlist = self.root / "shortlist.txt"
        self.checkpoints = self.root / "checkpoints"
        self.models = self.root / "models"
        self.exports = self.root / "exports"
        self.hypotheses = self.root / "hypotheses"
        self.prepared = self.root / "prepared"

    def folders(self) -> list[Path]:
        """The directories and growing files that belong to the run, whether they exist or not."""
        return [*(self.root / name for name in RUN_FOLDERS), self.metrics]

    def own_paths(self) -> list[Path]:
        """All files and directories that a run consists of, whether they exist or not: no output may replace them."""
        names = ("scores.json", "alignment.json", self.shortlist.name, *sorted(TOKENIZER_NAMES))
        return [self.config, *self.folders(), *(self.root / name for name in names)]

    def refuse_links(self) -> None:
        """Raise `OutputError` if a directory or growing file of the run is a link that leads out of the run."""
        refuse_links(self.root, self.folders())

    def refuse_odd_metrics(self) -> None:
        """Raise `CheckpointError` if something else has taken the place of the file that metrics are appended to."""
        if os.path.lexists(self.metrics) and not self.metrics.is_file():
            raise CheckpointError(f"{self.metrics} is no file, so no metrics can be written to it; move it away")

    def model(self, name: str) -> Path:
        """The directory of averaged weights to be called `name`; raise `CheckpointError` if that is no name for them.

        A name is one component of a path, and none that means other weights.
        """
        folded, problem = name.casefold(), None
        if not name.strip(" .") or name != name.strip() or not name.isprintable() or name[0] in ".-":
            problem = "a name of visible characters that does not begin with a dot or a dash"
        elif any(character in name for character in "/\\:"):
            problem = "a name without /, \\ and :, which is not a path"
        elif len(name.encode()) > _LONGEST_NAME:
            problem = f"at most {_LONGEST_NAME} bytes"
        elif name.isnumeric() or folded in _MEANT or folded.startswith((DAMAGED, "step-")):
            problem = f"a name that does not mean other weights ({', '.join(_MEANT)}, a step, step-..., {DAMAGED}...)"
        if problem is not None:
            raise CheckpointError(f"--name: found {name[:_LONGEST_NAME]!r}, expected {problem}")
        return self.models / name

    def checkpoint(self, step: int) -> Path:
        """The directory of the checkpoint after `step` optimizer steps."""
        return self.checkpoints / f"step-{step:08d}"

    def steps(self) -> list[int]:
        """Steps of the checkpoints that exist, oldest first."""
        if not self.checkpoints.is_dir():
            return []
        matches = (_STEP.match(path.name) for path in self.checkpoints.iterdir())
        return sorted(int(match[1]) for match in matches if match)

    def remove_checkpoint(self, step: int) -> None:
        """Delete a checkpoint; its name is gone before its files are."""
        remove_directory(self.checkpoint(step))

    def names(self) -> list[str]:
        """Return the names that `weights` accepts: the directories in `models`, and the steps of the checkpoints."""
        models = sorted(path.name for path in self.models.glob("[!.]*")) if self.models.is_dir() else []
        return [*(name for name in models if not name.startswith(DAMAGED)), *map(str, self.steps())]

    def has_weights(self) -> bool:
        """Whether something was trained here, so that the vocabulary must stay what it is."""
        return bool(self.names())

    def has_final(self) -> bool:
        """Whether the run has ended with weights; raise `CheckpointError` if something else has taken their place."""
        for path in (self.models, self.models / FINAL):
            if os.path.lexists(path) and not path.is_dir():
                what = "not a directory" if path.exists() else "a link to nothing"
                raise CheckpointError(
                    f"{path} is {what}; put the directory back from a copy of the run, choose other weights "
                    "with --weights, or repeat the `translator train` command, which makes up for what is damaged"
                )
        return (self.models / FINAL).is_dir()

    def weights(self, name: str) -> Path:
        """The directory of the weights called `name`: `last`, a step, or a directory in `models` (`find_weights`).

        Raises `CheckpointError` if there are none.
        """
        steps = self.steps()
        if name == "last" and steps:
            return self.checkpoint(steps[-1])
        if name.isdecimal() and len(name) < 20 and int(name) in steps:
            return self.checkpoint(int(name))
        if name.strip(".") and "/" not in name and (self.models / name).is_dir():
            return self.models / name
        there = ", ".join(self.names()) or "nothing yet; train it first"
        raise CheckpointError(f"{self.root} has no weights called {name!r}; expected one of: {there}")
