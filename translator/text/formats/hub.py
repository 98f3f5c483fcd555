"""Parallel corpora from the Hugging Face hub, through `datasets`."""

from collections.abc import Iterator

from translator.errors import DataError
from translator.text.corpus import Corpus, Languages, Pair, choose_columns, record_pair


def open_hub_set(address: str, wanted: Languages, default_split: str) -> Corpus:
    """Open `NAME[/CONFIGURATION][:SPLIT]`, for example `bentrevett/multi30k` or `wmt/wmt14/de-en:validation`.

    A NAME that begins with `.` or `/` is a local directory as `datasets.load_dataset` understands it. The set
    is downloaded once into the cache of `datasets`.
    """
    name, _, split = address.partition(":")
    if not name:
        raise DataError(f"hub:{address} names no set; expected hub:NAME[:SPLIT], such as hub:bentrevett/multi30k:train")
    split = split or default_split
    parts = name.split("/")
    configuration = None
    if len(parts) == 3 and not name.startswith((".", "/")):
        name, configuration = "/".join(parts[:2]), parts[2]
    import datasets

    try:
        dataset = datasets.load_dataset(name, configuration, split=split)
    except Exception as error:
        # `datasets` raises almost every kind of exception for mistakes of the user and failures of the network.
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(
            f"cannot load hub:{address} (split {split}): {reason}. Check the name, the split and the "
            "network, or give local files"
        ) from None
    where = f"hub:{address}"
    translation = dataset.features.get("translation")
    nested = isinstance(translation, dict) or hasattr(translation, "languages")
    names = list(getattr(translation, "languages", None) or translation) if nested else dataset.column_names
    columns = choose_columns(names, wanted, where)
    dataset = dataset.select_columns(["translation"] if nested else list(columns))

    def pairs() -> Iterator[Pair]:
        for row, record in enumerate(dataset, start=1):
            yield record_pair(record, columns, f"{where}, row {row:,}")

    # The fingerprint of `datasets` covers files, builder and split, whatever name the set was requested by.
    return Corpus(where, [], columns, pairs, revision=f"{dataset._fingerprint} {len(dataset)}")
