"""Settings with types: text becomes what the field holds, and every mistake is reported at once.

YAML scalars arrive as text and are converted by the type of the field, so that `1e-4` is a number and the language code
`no` is not False.
"""

import typing
from typing import Any

from pydantic import BaseModel, ValidationError

from translator.config.explain import explain_all
from translator.config.schema import Config
from translator.errors import ConfigError

NULLS = {"", "null", "~", "none", "None"}
"""Ways to write that a setting has no value."""


def validate(values: dict[str, Any], problems: list[str]) -> Config:
    """Return the settings that `values` state, each converted to the type of its field and checked by itself.

    Raises `ConfigError` with `problems`, which are known already, and with all mistakes that are found here.
    """
    try:
        config = Config.model_validate(with_nulls(values, Config))
    except ValidationError as error:
        raise ConfigError(problems + explain_all(error)) from None
    if problems:
        raise ConfigError(problems)
    return config


def with_nulls(values: Any, model: type[BaseModel]) -> Any:
    """Read `null` and the empty value as None where the field allows it, as YAML would."""
    if not isinstance(values, dict):
        return values
    result = {}
    for name, value in values.items():
        field = model.model_fields.get(name)
        inner = field.annotation if field else None
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            value = {} if isinstance(value, str) and value in NULLS else with_nulls(value, inner)
        elif isinstance(value, list) and (items := _settings_in(inner)) is not None:
            value = [with_nulls(item, items) for item in value]
        elif isinstance(value, str) and value in NULLS and field is not None and field.default is None:
            value = None
        result[name] = value
    return result


def _settings_in(annotation: Any) -> type[BaseModel] | None:
    """Return the settings that the items of a list have, if they have any, by the annotation of the list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_settings_in, typing.get_args(annotation))), None)
