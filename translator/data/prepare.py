"""From corpora to a directory of prepared data: tokenizer, cleaned pairs as piece ids, and a manifest."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from translator.config import Config, complete_config, entries_of, parse_start
from translator.data.build import Preparation
from translator.data.corpora import Corpora, describe_corpora, open_corpora, target_languages
from translator.data.dataset import ParallelDataset
from translator.data.manifest import MANIFEST, describe_inputs, is_current, read_manifest, resolve, verify_files
from translator.data.mixture import Mixture
from translator.errors import DataError, TokenizerError
from translator.runtime.console import say
from translator.runtime.files import locked, new_directory
from translator.text import Tokenizer, TokenizerPair, load_tokenizers, tag_symbol


@dataclass(frozen=True)
class PreparedData:
    """Prepared data, opened."""

    directory: Path
    config: Config
    """The settings with preset and languages filled in."""
    tokenizers: TokenizerPair
    train: ParallelDataset
    """Cleaned pairs, corpus by corpus; with text where training samples pieces from it."""
    valid: ParallelDataset
    """All validation pairs, untouched and in order, with text."""
    test: ParallelDataset | None
    manifest: dict[str, Any]
    mixture: Mixture | None = None
    """How several training corpora share an epoch; None for one corpus."""


def prepare(config: Config, directory: str | Path) -> PreparedData:
    """Prepare the corpora of `config.data` in `directory`, unless they have been already.

    Everything is read through once before any work, so that damaged input is an error (`DataError`) at once.
    The directory appears complete or not at all; what another preparation left there is replaced, anything
    else is refused. Memory does not grow with the text but for 17 bytes a pair.
    """
    place = Path(directory)
    config = complete_config(config)
    _refuse_foreign_directory(place)
    corpora = open_corpora(config.data)
    given = _given_tokenizers(config, corpora)
    inputs = describe_inputs(corpora, config, given)
    place.parent.mkdir(parents=True, exist_ok=True)
    with locked(place.parent):
        if is_current(place, config, inputs):
            say(f"prepared data in {place} are up to date")
        else:
            with new_directory(place) as partial:
                Preparation(config, corpora, given, partial).run(inputs)
            say(f"prepared data written to {place}")
    prepared = load_prepared(place, config)
    if prepared.mixture is not None:
        for line in describe_corpora(prepared.manifest["counts"], prepared.mixture.counts):
            say(line)
    return prepared


def load_prepared(directory: str | Path, config: Config | None = None) -> PreparedData:
    """Open prepared data; raise `DataError` where they are missing or damaged (hashes are checked)."""
    place = Path(directory)
    manifest = read_manifest(place)
    verify_files(place, manifest)
    test = place / "test.arrow"
    settings = resolve(config or Config(), manifest["counts"]["pairs"], manifest["languages"])
    return PreparedData(
        directory=place,
        config=settings,
        tokenizers=load_tokenizers(place),
        train=ParallelDataset.open(place / "train.arrow"),
        valid=ParallelDataset.open(place / "valid.arrow"),
        test=ParallelDataset.open(test) if test.name in manifest["files"] else None,
        manifest=manifest,
        mixture=_mixture(settings, manifest["counts"].get("corpora", [])),
    )


def _mixture(config: Config, corpora: list[dict[str, Any]]) -> Mixture | None:
    if len(corpora) < 2:
        return None
    weights = [entry.weight for entry in entries_of(config.data.train) if entry.weight is not None]
    stated = weights if len(weights) == len(corpora) else None
    return Mixture.of([entry["train"] for entry in corpora], stated, config.data.temperature)


def _given_tokenizers(config: Config, corpora: Corpora) -> TokenizerPair | None:
    """The tokenizers that are not trained here; raise `TokenizerError` where they lack a tag that is needed."""
    if config.start_from is not None:
        run = parse_start(config.start_from).run
        given, name = load_tokenizers(run), f"start_from: the vocabulary of {run}"
        remedy = "start from a run that has them, or leave the corpora of these languages out"
    elif config.tokenizer.model is not None:
        tokenizer = Tokenizer.load(config.tokenizer.model)
        given, name = TokenizerPair(tokenizer, tokenizer, True), f"tokenizer.model: {config.tokenizer.model}"
        remedy = "leave tokenizer.model out, or make the file with `spm_train --control_symbols=` and these tags"
    else:
        return None
    if config.data.language_tags:
        tags = given.source.tags
        if missing := [tag_symbol(language) for language in target_languages(corpora) if language not in tags]:
            found = ", ".join(map(tag_symbol, tags)) or "none"
            raise TokenizerError(
                f"{name} has no language tag {', '.join(missing)} (found: {found}), which data.language_tags needs; "
                f"{remedy}"
            )
    return given


def _refuse_foreign_directory(place: Path) -> None:
    if not place.exists():
        return
    if not place.is_dir():
        raise DataError(f"{place} is a file; expected a directory for the prepared data (data.prepared)")
    if not (place / MANIFEST).exists() and any(place.iterdir()):
        raise DataError(
            f"{place} holds files but no {MANIFEST}, so it is no prepared data of ours and is left alone; "
            "choose another directory (data.prepared)"
        )
