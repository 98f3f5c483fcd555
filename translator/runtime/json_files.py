"""Reading JSON that we wrote and somebody may have changed: bounded, and of the shape that the reader expects."""

import json
from pathlib import Path
from typing import Any

from translator.errors import TranslatorError

MAX_BYTES = 1 << 26
_LARGEST = 2**53  # Beyond it, whole numbers are no longer the same in every reader of JSON.

Shape = Any
"""What a value must be: `int`, `float` (whole or not), `str`, `bool`, `None` or `object` (anything); `[S]` for a list
of S; `{"a": S, "b?": S}` for an object with `a`, and perhaps `b` and others; `{str: S}` for an object of S; `(S, S)`
for either."""

_NAMES = {int: "a whole number", float: "a number", str: "text", bool: "true or false", None: "null"}


def read_json(path: Path, shape: Shape, error: type[TranslatorError], remedy: str) -> Any:
    """Read a JSON file whose value has a `shape`.

    Raises `FileNotFoundError` if there is none, and `error` with the file, what is wrong and the `remedy` for a file
    that cannot be read, is no JSON or has another shape.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ValueError(f"larger than {MAX_BYTES >> 20} MiB")
        return parse_json(data, shape)
    except FileNotFoundError:
        if path.is_symlink():
            raise error(f"{path} is a link to a file that does not exist; {remedy}") from None
        raise
    except OSError as failure:
        raise error(f"{path} cannot be read ({failure.strerror or failure}); {remedy}") from None
    except ValueError as failure:
        raise error(f"{path} is damaged ({failure}); {remedy}") from None


def parse_json(data: bytes | str, shape: Shape) -> Any:
    """Parse JSON whose value has a `shape`; raise `ValueError` that says what is wrong."""
    try:
        value = json.loads(data if isinstance(data, str) else data.decode("utf-8"))
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if (problem := mismatch(value, shape)) is not None:
        raise ValueError(problem)
    return value


def mismatch(value: Any, shape: Shape, name: str = "") -> str | None:
    """Say what of `value` is not as `shape` wants it; None if all is."""
    if shape is object:
        return None
    if isinstance(shape, tuple):
        problems = [mismatch(value, one, name) for one in shape]
        return None if None in problems else problems[0]
    if isinstance(shape, list):
        if not isinstance(value, list):
            return _expected("a list", value, name)
        inside = (mismatch(item, shape[0], f"{name}[{place}]") for place, item in enumerate(value))
        return next((problem for problem in inside if problem), None)
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return _expected("an object", value, name)
        return next((problem for problem in _problems_inside(value, shape, name) if problem), None)
    return None if _is(value, shape) else _expected(_NAMES[shape], value, name)


def _problems_inside(value: dict[str, Any], shape: dict[Any, Shape], name: str) -> Any:
    for key, inner in shape.items():
        if key is str:
            yield from (mismatch(item, inner, f"{name}.{field}".strip(".")) for field, item in value.items())
            continue
        field = key.removesuffix("?")
        if field in value:
            yield mismatch(value[field], inner, f"{name}.{field}".strip("."))
        elif not key.endswith("?"):
            yield f"`{f'{name}.{field}'.strip('.')}` is missing"


def _is(value: Any, kind: Any) -> bool:
    if kind is None:
        return value is None
    if kind in (int, float):
        numeric = int if kind is int else (int, float)
        # In Python true is 1.
        return isinstance(value, numeric) and not isinstance(value, bool) and (value != value or not _is_huge(value))
    return isinstance(value, kind)


def _is_huge(value: float) -> bool:
    return isinstance(value, int) and abs(value) > _LARGEST


def _expected(wanted: str, value: Any, name: str) -> str:
    kinds: dict[Any, str] = {dict: "an object", list: "a list", type(None): "null", int: "a whole number", **_NAMES}
    found = kinds.get(type(value), type(value).__name__)
    found = f"{found} out of range" if found == wanted else found
    return f"{f'`{name[:80]}`: ' if name else ''}found {found}, expected {wanted}"
