"""YAML as settings need it: names and text, lists and groups, of bounded size and depth, each name set once.

A settings file may come from anybody. Built from the parser's events, so that nothing is made of what is refused:
aliases (a few hundred bytes of which can stand for gigabytes, or for themselves), keys that are no text, deep nesting.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from translator.errors import ConfigError

MAX_BYTES = 1 << 18
MAX_DEPTH = 50

# The parser of libyaml, where PyYAML was built with it, takes a hundredth of the time.
_LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


class _RefusedError(Exception):
    """What is wrong, and the line."""

    def __init__(self, event: yaml.Event, reason: str) -> None:
        super().__init__(f"line {event.start_mark.line + 1}: {reason}")


def read_yaml(path: Path, problems: list[str]) -> Any:
    """Read a settings file, scalars as text; append repeated names, with their lines, to `problems`.

    An empty file is None. Raises `ConfigError` in one sentence for a file that cannot be read or is no such YAML.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        text = data.decode("utf-8")
    except OSError as error:
        raise ConfigError([f"cannot read {path}: {error.strerror or error}"]) from None
    except UnicodeDecodeError as error:
        found = f"byte {error.start} is 0x{data[error.start]:02x}"
        raise ConfigError([f"{path} is not UTF-8 ({found}); save it as UTF-8, or convert it with iconv"]) from None
    if len(data) > MAX_BYTES:
        raise ConfigError([f"{path} is larger than {MAX_BYTES >> 10} KiB; expected settings as `name: value`"])
    return parse_yaml(text, str(path), problems)


def parse_yaml(text: str, where: str, problems: list[str]) -> Any:
    """Parse YAML as `read_yaml` does; `where` is what messages call it."""
    try:
        return _build(yaml.parse(text, Loader=_LOADER), where, problems)
    except _RefusedError as refused:
        raise ConfigError([f"{where}, {refused}"]) from None
    except (yaml.YAMLError, UnicodeError) as error:
        raise ConfigError([f"{where} is not valid YAML: {' '.join(str(error).split())}"]) from None


def _build(events: Iterator[yaml.Event], where: str, problems: list[str]) -> Any:
    """Make values of events, without recursion; the lists and groups that are open are on a stack."""
    document: list[Any] = []
    stack: list[tuple[Any, str | None]] = [(document, None)]  # with the name whose value comes next

    def add(value: Any) -> None:
        container, name = stack[-1]
        if isinstance(container, list):
            container.append(value)
        else:
            container[name] = value
            stack[-1] = (container, None)

    for event in events:
        container, name = stack[-1]
        opens = isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent)
        if isinstance(event, yaml.AliasEvent):
            raise _RefusedError(event, f"aliases (*{event.anchor}) are not read; write the value out")
        if opens and isinstance(container, dict) and name is None:
            raise _RefusedError(event, "found a list or a group of settings as a name; expected `name: value`")
        if isinstance(event, yaml.DocumentStartEvent) and document:
            raise _RefusedError(event, "found a second document; expected one")
        if isinstance(event, yaml.ScalarEvent) and isinstance(container, dict) and name is None:
            if event.value in container:
                problems.append(f"{where}: line {event.start_mark.line + 1}: `{event.value}` is set twice; keep one")
            # `null` for now, so that a third one is found too.
            container[event.value] = None
            stack[-1] = (container, event.value)
        elif isinstance(event, yaml.ScalarEvent):
            add(event.value)
        elif opens:
            if len(stack) > MAX_DEPTH:
                raise _RefusedError(event, f"nested more than {MAX_DEPTH} deep; expected `name: value`")
            made: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
            add(made)
            stack.append((made, None))
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            stack.pop()
    return document[0] if document else None
