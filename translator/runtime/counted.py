"""Numbers with their nouns, as messages say them."""


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number and what there are so many of, in the right form: `1 line`, `1,204 lines`.

    `plural` is by default the noun with an s; both may have other words after them, such as `line is`, `lines are`.
    """
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
