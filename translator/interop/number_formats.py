"""Number formats of exported weights; nothing is imported here that would slow the command line's help."""

from enum import StrEnum


class NumberFormat(StrEnum):
    """Number formats of weights on disk, as CTranslate2 calls them."""

    float32 = "float32"
    float16 = "float16"
    bfloat16 = "bfloat16"
    int16 = "int16"
    int8 = "int8"
    int8_float32 = "int8_float32"
    int8_float16 = "int8_float16"
    int8_bfloat16 = "int8_bfloat16"
