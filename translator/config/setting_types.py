"""The types that settings share: numbers with bounds, choices between a number and `auto`, and a group of settings."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from translator.config.units import WRITTEN, Duration

# Every number has an upper bound: far above what anybody trains or translates with, and below what overflows, asks the
# system for a million threads or fills the memory with a single sentence. A received run has settings, too.
Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
PositiveCount = Annotated[int, Field(ge=1, le=10**9), WRITTEN]
NonNegativeCount = Annotated[int, Field(ge=0, le=10**9), WRITTEN]
FewCount = Annotated[int, Field(ge=1, le=1000), WRITTEN]
Width = Annotated[int, Field(ge=1, le=2**16), WRITTEN]
Pieces = Annotated[int, Field(ge=1, le=100_000), WRITTEN]
Tokens = Annotated[int, Field(ge=1, le=10**7), WRITTEN]
PositiveFloat = Annotated[float, Field(gt=0.0, le=1e6, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0.0, le=1e6, allow_inf_nan=False)]
Nats = Annotated[float, Field(ge=0.0, le=1000.0, allow_inf_nan=False)]
CountOrAuto = Annotated[
    Annotated[Tokens, Tag("count")] | Annotated[Literal["auto"], Tag("auto")],
    # Told apart before validation, so that a mistake is reported once and not for every kind.
    Discriminator(lambda value: "auto" if value == "auto" else "count"),
]
LengthOrAuto = Annotated[
    Annotated[int, Field(ge=0, le=1_000_000), WRITTEN, Tag("count")] | Annotated[Literal["auto"], Tag("auto")],
    Discriminator(lambda value: "auto" if value == "auto" else "count"),
]
DurationOrAuto = Annotated[
    Annotated[Duration, Tag("duration")] | Annotated[Literal["auto"], Tag("auto")],
    Discriminator(lambda value: "auto" if value == "auto" else "duration"),
]
HeadCounts = Annotated[list[FewCount], Field(max_length=1000)]
FilePair = Annotated[list[str], Field(min_length=2, max_length=2)]


class Settings(BaseModel):
    """A group of settings: immutable, and unknown names are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, use_attribute_docstrings=True)
