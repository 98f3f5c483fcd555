"""Every number in the settings is bounded, so that none overflows, hangs or takes the machine."""

from collections.abc import Iterator
from typing import Any

import pytest

from translator.config import Config, load_config
from translator.config.overrides import read_call_settings, settings_from
from translator.errors import ConfigError

SCHEMA = Config.model_json_schema()


def numbers(schema: dict[str, Any], name: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every number of a JSON Schema with the dotted name of its setting."""
    if "$ref" in schema:
        schema = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]
    if schema.get("type") in ("integer", "number"):
        yield name, schema
    for key, inner in schema.get("properties", {}).items():
        yield from numbers(inner, f"{name}.{key}".strip("."))
    for inner in [*schema.get("anyOf", []), *schema.get("oneOf", []), *schema.get("prefixItems", [])]:
        yield from numbers(inner, name)
    if isinstance(schema.get("items"), dict):
        yield from numbers(schema["items"], name)


def test_every_number_has_both_bounds() -> None:
    found = list(numbers(SCHEMA))
    assert len(found) > 70
    unbounded = [
        name
        for name, schema in found
        if not {"maximum", "exclusiveMaximum"} & schema.keys() or not {"minimum", "exclusiveMinimum"} & schema.keys()
    ]
    assert unbounded == []


@pytest.mark.parametrize("value", ["1e308", "inf", "nan", "-inf", "9" * 5000, "1e400", "1000000000000G", "-1e308"])
def test_no_number_takes_whatever_is_written(value: str) -> None:
    for name in dict.fromkeys(name for name, _ in numbers(SCHEMA) if "data.train" not in name):
        if name not in ("data.valid.weight", "data.test.weight"):
            text = f"[{value}]" if name.endswith(("_heads", "betas")) and not name.endswith("num_heads") else value
            with pytest.raises(ConfigError) as caught:
                load_config(None, [f"{name}={text}"])
            assert len(str(caught.value)) < 1000
    with pytest.raises(ConfigError):
        load_config(None, [f"training.validate_every={value}"])


@pytest.mark.parametrize(
    "word",
    ["beam_size=1M", "mbr_samples=100000", "length_alpha=1000", "max_length_factor=1e308", "threads=1000000",
     "temperature=1e-39", "n_best=10k", "batch_tokens=1G", "top_k=1G", "max_length_extra=1G", "min_length_extra=1G",
     "diversity_penalty=1e38", "repetition_penalty=1e38", "block_ngrams=1G", "devices=1M"],
)  # fmt: skip
def test_what_ended_in_a_traceback_is_refused(word: str) -> None:
    with pytest.raises(ConfigError, match="input should be (less|greater) than or equal to"):
        read_call_settings([word])


def test_python_values_are_bounded_too() -> None:
    for values in ({"beam_size": 10**5000}, {"min_length_extra": -1}, {"top_k": -(10**5000)}, {"temperature": 1e-300}):
        with pytest.raises(ConfigError):
            settings_from(values)
