"""Numbers as people write them: `25k` tokens, `8k` steps, `1epoch`."""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pydantic import BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

_SCALES = {"": 1, "k": 1_000, "M": 1_000_000, "G": 1_000_000_000}
# A comma stands before thousands: `1,5k` is not 15k but 1.5k to those who write a decimal comma, so it is refused.
_NUMBER = r"(?:[1-9][0-9]{0,2}(?:,[0-9]{3})+|[0-9][0-9_]*)(?:\.[0-9]+)?"
_COUNT = re.compile(rf"^\s*({_NUMBER})\s*([kMG]?)\s*$")
_DURATION = re.compile(rf"^\s*({_NUMBER}\s*[kMG]?)\s*(steps?|epochs?|)\s*$")


def parse_count(value: Any) -> Any:
    """Turn `"25k"`, `"1.5M"` or `"8,000"` into an integer; leave everything but text to pydantic."""
    if not isinstance(value, str):
        return value
    match = _COUNT.match(value)
    if match is None:
        raise ValueError("expected a whole number such as 4096, 25k or 1.5M")
    # Not a float, in which 16.1 times 1,000 is no whole number.
    count = Decimal(match[1].replace("_", "").replace(",", "")) * _SCALES[match[2]]
    if count != int(count):
        raise ValueError("expected a whole number such as 4096, 25k or 1.5M")
    return int(count)


WRITTEN = BeforeValidator(parse_count)
"""Makes a whole number one that may be written with k, M or G."""


@dataclass(frozen=True)
class Duration:
    """An amount of training, in optimizer steps or in passes over the training data."""

    amount: int
    unit: str  # "steps" or "epochs"

    @classmethod
    def parse(cls, value: Any) -> "Duration":
        """Read `500`, `"8k"`, `"500 steps"` or `"1epoch"`; raise `ValueError` for anything else."""
        if isinstance(value, Duration):
            return value
        match = _DURATION.match(str(value))
        if match is None or isinstance(value, bool):
            raise ValueError("expected steps or epochs such as 500, 8k or 1epoch")
        amount = parse_count(match[1])
        if not 1 <= amount <= 10**9:
            raise ValueError("expected at least one step or epoch, and at most 1G")
        return cls(amount, "epochs" if match[2].startswith("epoch") else "steps")

    def __str__(self) -> str:
        return str(self.amount) if self.unit == "steps" else f"{self.amount}epoch"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "description": "steps or epochs: 500, 8k, 1epoch"}
