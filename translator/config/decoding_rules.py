"""Settings of decoding that are impossible together, and which of them the validations of a training take."""

import re

from translator.config.sections import DecodingSettings, TrainingSettings

PROTECTED = {
    "url": r"(?:https?|ftp)://[^\s<>\"']*[^\s<>\"'.,;:!?)\]]|(?<![\w.])www\.[^\s<>\"']*[^\s<>\"'.,;:!?)\]]",
    "email": r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
    "placeholder": r"\{\{[^{}\n]*\}\}|\$?\{[^{}\n]*\}|%(?:\d+\$)?[-+0#]*\d*(?:\.\d+)?[sdifgxXuc@]"
    r"|%\(\w+\)[sdf]|<ph\d+>",
    "number": r"(?<![\w.,])\d+(?:[.,]\d+)*"
    r"(?:\s?(?:%(?!\()|°C|°F|°|[kMGT]i?B|[kcmnµ]?m[²³]?|[kmµ]?g|[mc]?l|k?Wh?|k?Hz|mph|km/h))?"
    r"(?![\w.,]*\d|\w)",
}
"""Kinds of strings that `decoding.protect` knows by name, as regular expressions."""

_WORD_BEGIN = "▁"  # How SentencePiece writes the space before a word; it means a space in a setting, too.


def decoding_mistakes(settings: DecodingSettings) -> list[str]:
    """Find all settings of decoding that cannot be followed together, whatever the run and the engine."""
    problems = [problem for pattern in settings.protect if (problem := _wrong_pattern(pattern))]
    most = {"beam": ("beam_size", settings.beam_size), "mbr": ("mbr_samples", settings.mbr_samples)}
    name, limit = most.get(settings.search, ("", settings.n_best))
    if settings.n_best > limit:
        problems.append(
            f"decoding.n_best: {settings.n_best} translations cannot come from decoding.{name} = {limit}; raise it"
        )
    if settings.search == "beam" and settings.beam_size % settings.diverse_groups:
        problems.append(
            f"decoding.diverse_groups: {settings.diverse_groups} groups do not divide decoding.beam_size = "
            f"{settings.beam_size}; choose a divisor"
        )
    if any(settings.required) and (settings.search != "beam" or settings.beam_size == 1):
        found = "beam_size = 1" if settings.search == "beam" else f"search = {settings.search}"
        problems.append(
            f"decoding.required: decoding.{found} cannot place required phrases; choose decoding.search = beam with a "
            "decoding.beam_size of at least 2"
        )
    if any(not _words(phrase) for phrase in settings.banned):
        problems.append("decoding.banned: found a phrase without text; expected at least one character, or no phrase")
    problems += [
        f"decoding.required: every translation with {phrase!r} holds {banned!r}, which decoding.banned forbids; "
        "leave one of the two out"
        for phrase in settings.required
        for banned in settings.banned
        if _words(banned) and _words(banned) in _words(phrase)
    ]
    return problems


def validation_mistakes(decoding: DecodingSettings, training: TrainingSettings) -> list[str]:
    """Find settings of validation that do not go together with those of decoding.

    Validation has no diverse groups. A beam for it that the groups do not divide was not meant for this run, though.
    """
    beam_size = training.validation_beam_size
    if decoding.search != "beam" or beam_size == 1 or beam_size % decoding.diverse_groups == 0:
        return []
    return [
        f"training.validation_beam_size: decoding.diverse_groups = {decoding.diverse_groups} does not divide a beam of "
        f"{beam_size}; choose a multiple, or 1 for greedy search"
    ]


def validation_decoding(decoding: DecodingSettings, training: TrainingSettings) -> DecodingSettings:
    """Return how a validation decodes: greedily or with a plain beam, whatever the run's translations are asked for.

    Figures of validations choose the weights, so nothing in them may be random (sampling, MBR), and nothing may be put
    into a translation or kept out of it (prefix, phrases, penalties). What remains of `decoding` is how hypotheses of
    unequal length compare, how long they may get, and how many sentences are decoded at once.
    """
    kept = ("length_penalty", "length_alpha", "max_length_factor", "max_length_extra", "batch_tokens")
    return DecodingSettings(beam_size=training.validation_beam_size, **{name: getattr(decoding, name) for name in kept})


def _wrong_pattern(pattern: str) -> str | None:
    """Say what is wrong with a pattern of `decoding.protect`."""
    if pattern in PROTECTED:
        return None
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        found = f"{pattern!r} is no regular expression ({error})"
    else:
        if compiled.groups or "(?P" in pattern:
            found = f"{pattern!r} has a group; write (?:...)"
        elif not compiled.match(""):
            return None
        else:
            found = f"{pattern!r} also matches nothing"
    return f"decoding.protect: {found}; expected one of {', '.join(PROTECTED)}, or a regular expression"


def _words(phrase: str) -> str:
    """The words of a phrase, each with one space before it; empty if there are none."""
    return "".join(f" {word}" for word in phrase.replace(_WORD_BEGIN, " ").split())
