"""`augmentation`: alterations of the training text."""

from translator.config.setting_types import Fraction, Settings


class AugmentationSettings(Settings):
    """Alterations of the training text, each drawn again whenever a pair is read; 0 turns one off.

    They need the text in the prepared data. Probabilities are those of a pair.
    """

    upper_case: Fraction = 0.0
    """Both sides in capitals."""
    title_case: Fraction = 0.0
    """Every word of both sides with a capital."""
    lower_case: Fraction = 0.0
    """Both sides without capitals."""
    typos: Fraction = 0.0
    """Typing errors in the source: letters left out, doubled, swapped, or those of a neighbouring key."""
    drop_final_punctuation: Fraction = 0.0
    """Both sides without the punctuation that ends them."""
    merge: Fraction = 0.0
    """Another pair of the batch in the same line, on both sides."""
    copied: Fraction = 0.0
    """An emoji, a rare character, a tag, a placeholder or a number that both sides begin or end with."""

    @property
    def is_on(self) -> bool:
        """Whether anything is altered."""
        return any(self.model_dump().values())
