"""The length of what a run was trained on, above which a line is split into its sentences."""

from translator.checkpoints import Bundle
from translator.checkpoints.run_directory import RunDirectory
from translator.config import DecodingSettings
from translator.data.dataset import ParallelDataset
from translator.data.usual_source import usual_source
from translator.errors import DataError

_FALLBACK = 64
"""In corpora of single sentences about 99 of 100 have fewer pieces than this."""


def usual_source_length(bundle: Bundle, settings: DecodingSettings) -> int:
    """Return `decoding.split_above` in pieces.

    Training writes the number into the settings of a run. For a run of an older version it is taken from the prepared
    data inside the run; if these are missing as well, it is 64 pieces.
    """
    if settings.split_above != "auto":
        return settings.split_above
    try:
        train = ParallelDataset.open(RunDirectory(bundle.directory).prepared / "train.arrow")
    except DataError:
        return min(_FALLBACK, bundle.config.data.max_length)
    if not len(train):
        return _FALLBACK
    config = bundle.config
    merged = config.augmentation.merge > 0.0
    return usual_source(train, bundle.tokenizers.source, config.data.source_language, merged)
