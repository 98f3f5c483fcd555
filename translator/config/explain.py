"""Mistakes in settings, a sentence each: which setting, what was expected, what was found, the nearest name."""

import difflib
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from translator.config.schema import Config
from translator.config.sections import CorpusEntry

_EXPLAINED = 50


def explain_all(error: ValidationError) -> list[str]:
    """Say what pydantic found wrong, of a great many mistakes the first (to find the nearest name takes time)."""
    items = error.errors(include_url=False, include_context=False)
    more = [f"and {len(items) - _EXPLAINED:,} more"] if len(items) > _EXPLAINED else []
    return [explain(item) for item in items[:_EXPLAINED]] + more


def explain(item: Any) -> str:
    """Turn an error of pydantic into a sentence: the setting, what was expected and what was found."""
    if item["type"] == "extra_forbidden":
        return _explain_unknown(list(item["loc"]))
    name = _name_of(item["loc"])
    message = item["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    if item["type"] in ("int_parsing", "float_parsing", "int_type", "float_type"):
        message = "expected a number"
    if (_kind_of_corpora(item["loc"]), item["type"]) in _CORPUS_MISTAKES:
        message = "expected a corpus, a list of two files, or a list of entries such as {path: CORPUS, weight: 2}"
    return f"{name}: {message}; found {_shown(item['input'])}"


_CORPUS_MISTAKES = {
    *(("entries", kind) for kind in ("list_type", "model_type", "missing", "too_short", "union_tag_invalid")),
    *(("files", kind) for kind in ("too_short", "too_long")),
}


def _shown(found: Any) -> str:
    """Write what was found, cut to a length that leaves room for the sentence about it."""
    try:
        text = repr(found)
    except (ValueError, RecursionError):  # A number of thousands of digits; a value inside itself.
        return f"a {type(found).__name__} too large to show"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


_SHOWN = 200


def _kind_of_corpora(location: Sequence[str | int]) -> str | None:
    return next((str(part) for part in location if part in ("entries", "files")), None)


def _name_of(location: Sequence[str | int]) -> str:
    """Write a location as people do: `model.dropout`, or `data.train, entry 2, weight` (counted from 1)."""
    known = _all_names()
    parts = [part for part in location if isinstance(part, str) and part in known]
    entry = next((part for part in location if isinstance(part, int)), None)
    if entry is None or "entries" not in location:
        return ".".join(parts) or ".".join(map(str, location))
    inside = location[location.index(entry) + 1 : location.index(entry) + 2]
    return ", ".join([".".join(parts[:2]), f"entry {entry + 1}", *map(str, inside)])


def _explain_unknown(location: list[str | int]) -> str:
    location = [part[:_SHOWN] if isinstance(part, str) else part for part in location]
    if "entries" in location:
        near = difflib.get_close_matches(str(location[-1]), CorpusEntry.model_fields, n=1, cutoff=0.6)
        hint = f"did you mean {near[0]}?" if near else f"expected {', '.join(CorpusEntry.model_fields)}"
        return f"{_name_of(location)}: there is no such setting; {hint}"
    *sections, last = [str(part) for part in location]
    name = ".".join([*sections, last])
    near = difflib.get_close_matches(last, _names_of(Config, sections), n=1, cutoff=0.6)
    nearest = [".".join([*sections, near[0]])] if near else []
    if not nearest:
        nearest = [full for full in setting_names() if full.rpartition(".")[2] == last]
    if not nearest:
        nearest = difflib.get_close_matches(name, setting_names(), n=1, cutoff=0.6)
    hint = f"did you mean {nearest[0]}?" if nearest else "see `translator config schema`"
    return f"{name}: there is no such setting; {hint}"


def _names_of(model: type[BaseModel], sections: list[str]) -> list[str]:
    for section in sections:
        field = model.model_fields.get(section)
        if field is None or not isinstance(field.annotation, type):
            return []
        model = field.annotation
    return list(model.model_fields) if issubclass(model, BaseModel) else []


def setting_names(model: type[BaseModel] = Config, prefix: str = "") -> list[str]:
    """List the dotted names of all settings."""
    names = []
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            names += setting_names(inner, f"{prefix}{name}.")
        else:
            names.append(prefix + name)
    return names


def _all_names() -> set[str]:
    return {part for name in setting_names() for part in name.split(".")}
