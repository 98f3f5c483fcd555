"""The errors that we explain to the user in a sentence; anything else that escapes is a bug.

A message says where (setting, or file and line), what was found, what was expected, and what to do.
The command line prints it without a traceback and exits with 1.
"""


class TranslatorError(Exception):
    """Base of every error that a user can cause or that a machine can inflict on them."""


_SHOWN = 60


class ConfigError(TranslatorError):
    """Settings that are unknown, ill-typed or impossible together; `problems` holds all of them.

    `where` is the file that they are in, where only one file can be meant.
    """

    def __init__(self, problems: list[str], where: object = None) -> None:
        self.problems = problems
        count = len(problems)
        title = f"{count} mistake{'' if count == 1 else 's'} in {where or 'the settings'}:"
        shown = [*problems[:_SHOWN], *([f"and {count - _SHOWN:,} more"] if count > _SHOWN else [])]
        super().__init__("\n".join([title, *(f"  {problem}" for problem in shown)]))


class OutputError(TranslatorError):
    """A file or directory that cannot be written, or must not be replaced because we did not write it."""


class DataError(TranslatorError):
    """Text or prepared data that is missing, damaged or inconsistent."""


class TokenizerError(TranslatorError):
    """A tokenizer that cannot be trained or loaded."""


class CheckpointError(TranslatorError):
    """A run directory or checkpoint that is missing, incomplete or damaged, or that cannot be written."""


class DamagedCheckpointError(CheckpointError):
    """A checkpoint whose files are not those that were written; `damage` says which and how, without what to do."""

    def __init__(self, damage: str) -> None:
        self.damage = damage
        super().__init__(f"{damage}; use another checkpoint")


class DeviceError(TranslatorError):
    """A device or precision that was asked for and is not there."""


class TrainingError(TranslatorError):
    """A training that cannot go on under its settings."""


class EvaluationError(TranslatorError):
    """Hypotheses and references that cannot be scored against each other."""


class ReaderGoneError(TranslatorError):
    """Whoever read our results has stopped (`| head`), so that the program ends without a word."""
