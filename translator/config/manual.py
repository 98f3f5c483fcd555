"""The schema as text: every setting with type, default, presets and meaning."""

import typing
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from translator.config.presets import PRESETS
from translator.config.schema import Config
from translator.config.sections import CorpusEntry, DataSettings
from translator.config.units import Duration


def describe_settings(model: type[BaseModel] = Config, section: str = "") -> str:
    """List all settings as `name: type = default`, with the presets that replace the default and the meaning."""
    lines = []
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            lines.append(f"\n{' '.join((field.annotation.__doc__ or '').split())}\n")
            lines.append(describe_settings(field.annotation, name))
            continue
        full = f"{section}.{name}" if section else name
        lines.append(f"{full}: {_type_name(field.annotation)} = {_shown(field.default)}{_presets(section, name)}")
        lines.append(f"    {' '.join((field.description or '').split())}")
    if model is DataSettings:
        lines.append(f"\n{' '.join((CorpusEntry.__doc__ or '').split())}\n")
        lines.append(describe_settings(CorpusEntry, "data.train[]"))
    return "\n".join(line.rstrip("\n") for line in lines) + "\n"


def _type_name(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return "|".join(map(str, arguments))
    if origin is typing.Annotated:
        return _type_name(arguments[0])
    if origin in (list, tuple):
        return f"[{', '.join(_type_name(argument) for argument in arguments)}]"
    if arguments:
        return "|".join(_type_name(argument) for argument in arguments)
    names = {type(None): "null", str: "text", Duration: "duration", bool: "true|false", CorpusEntry: "entry"}
    return names.get(annotation) or str(annotation.__name__)


def _shown(default: Any) -> str:
    if default is None or isinstance(default, bool):
        return {None: "null", True: "true", False: "false"}[default]
    if default is PydanticUndefined:
        return "(needed)"
    return str(list(default) if isinstance(default, tuple) else default)


def _presets(section: str, name: str) -> str:
    values = {preset: sections[section][name] for preset, sections in PRESETS.items()
              if name in sections.get(section, {})}  # fmt: skip
    return f"  ({', '.join(f'{preset} {value}' for preset, value in values.items())})" if values else ""
