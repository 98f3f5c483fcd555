"""From corpora to a directory of prepared data: tokenizers, cleaned pairs as piece ids, and a manifest."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from translator.config import Config, complete_config, run_directory
from translator.data.altered import describe_altered
from translator.data.auto_preset import preset_for, stored_choice
from translator.data.build import DataBuilder
from translator.data.corpora import Corpora, describe_corpora, open_corpora, target_languages
from translator.data.dataset import ParallelDataset
from translator.data.dropped import describe_dropped
from translator.data.given_tokenizers import Begun, given_tokenizers, require_tags
from translator.data.manifest import (
    MANIFEST,
    NORMALIZATION_TABLE,
    TOKENIZER,
    describe_files,
    describe_inputs,
    files_of_prepared,
    has_other_inputs,
    has_vocabulary,
    library_versions,
    read_manifest,
    settings_that_matter,
    train_files,
    verify_files,
    write_manifest,
)
from translator.data.parts import Parts
from translator.data.prepared import PreparedData, load_prepared, resolve_settings
from translator.data.scanned import Place, ScannedCorpora
from translator.data.shared_work import SharedWork, dismiss
from translator.data.workers import Workers
from translator.errors import DataError, TokenizerError
from translator.runtime.console import say
from translator.runtime.directories import new_directory
from translator.runtime.files import locked
from translator.text import TokenizerPair, hash_file, require_shared_ids

if TYPE_CHECKING:
    from translator.distributed import World

_PARTS_OF_A_RUN = ("checkpoints", "models", "exports", "hypotheses", "tensorboard")


def prepare(
    config: Config,
    directory: str | Path,
    check: Callable[[Config], object] | None = None,
    begun: Begun | None = None,
    world: "World | None" = None,
) -> PreparedData:
    """Prepare the corpora of `config.data` in `directory`, unless that has been done already.

    Everything is read through once before any work, so that damaged input is an error (`DataError`) at once.
    The directory appears complete or not at all; what another preparation left there is replaced, anything else is
    refused (`DataError`, `OutputError`). `check` is called with the completed settings before that is done, and may
    raise. Data for a run that has `begun` get its vocabulary, and are refused if the training pairs would be others.
    All processes of a `world` share the scanning and encoding, and must see the same directory; the files do not
    depend on how many they are. Host memory does not grow with the text, except for 17 bytes a pair.
    """
    # Not above: the processes of `workers` import this module too, and do without torch, which this loads.
    from translator.distributed import World

    path, world = Path(directory), world or World()
    config = complete_config(config)
    # A link that the user named is followed; one in a run may be somebody else's.
    target = path.resolve() if path.is_symlink() and config.data.prepared is not None else path
    if world.is_main:
        _refuse_run(config, path)
        _refuse_foreign_directory(target)
    # The main process opens them first, because a corpus from the network is fetched when it is opened.
    corpora = world.main_first(lambda: open_corpora(config.data))
    with Workers(config.data.workers, world.local_size) as workers:
        if world.is_main:
            _prepare(config, path, target, corpora, check, begun, workers, world)
            dismiss(world)
        else:
            SharedWork(world, corpora["train"], Parts(target), workers).help()
    prepared = load_prepared(path, config)
    for line in describe_altered(prepared.manifest["counts"]):
        say(line)
    if begun is not None:
        _require_same_pairs(prepared.train_digest(), begun)
    if prepared.mixture is not None:
        for line in describe_corpora(prepared.manifest["counts"], prepared.mixture.counts):
            say(line)
    return prepared


def _prepare(
    config: Config, path: Path, target: Path, corpora: Corpora, check: Callable[[Config], object] | None,
    begun: Begun | None, workers: Workers, world: "World",
) -> None:  # fmt: skip
    """Do what `prepare` describes, on the main process; `target` is `path`, or what it leads to."""
    given, given_name = given_tokenizers(config.start_from, config.tokenizer.model, begun)
    # What has begun has its new pieces already.
    extend = config.tokenizer.extend > 0 and begun is None
    if given is not None and config.data.language_tags and not extend:
        require_tags(given, target_languages(corpora), config.start_from, given_name)
    inputs = describe_inputs(corpora, config.data.language_tags, given, given_name)
    if given is None and (table := config.tokenizer.normalization_table) is not None:
        if not Path(table).is_file():
            raise TokenizerError(f"tokenizer.normalization_table: there is no file {table}")
        inputs[NORMALIZATION_TABLE] = {"name": table, "fingerprint": hash_file(Path(table))}
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(target.parent):
        if _is_current(path, config, inputs, begun):
            say(f"prepared data in {path} are up to date")
            if config.preset == "auto":
                say(str(stored_choice(read_manifest(path))))
            Parts(target).remove_waiting()
            return
        with new_directory(target, files_of_prepared) as partial:
            shared = SharedWork(world, corpora["train"], Parts(target), workers)
            digest = _build(config, corpora, given, extend, inputs, partial, shared, workers, check)
            if begun is not None and begun.train_digest not in (None, digest):
                # What is refused leaves nothing in the run.
                shared.parts.remove_waiting()
                _require_same_pairs(digest, begun)
        shared.parts.remove_waiting()
        say(f"prepared data written to {path}")


def _build(
    config: Config, corpora: Corpora, given: TokenizerPair | None, extend: bool, inputs: dict[str, Any],
    directory: Path, shared: SharedWork, workers: Workers, check: Callable[[Config], object] | None,
) -> str:  # fmt: skip
    """Make the parts that are missing, put the data together, and write the manifest last; return the pairs' digest.

    `given` tokenizers are used as they are, or extended.
    """
    fingerprints = [entry["fingerprint"] for name, entry in inputs.items() if name.split()[0] == "train"]
    place = Place(directory, shared, fingerprints)
    scanned = ScannedCorpora.scan(corpora, config.data, workers, place)
    choice, languages = preset_for(config, scanned.text_bytes), corpora["train"][0].languages
    resolved = resolve_settings(config, choice.name, languages)
    if check is not None:
        check(resolved)
    if given is not None:
        require_shared_ids(resolved.model, given)
    if config.preset == "auto":
        say(str(choice))
    with_text = _needs_text(resolved)
    tokenizers, counts = DataBuilder(
        scanned, resolved.data, resolved.tokenizer, given, extend, place, with_text
    ).build()  # fmt: skip
    files = describe_files(directory)
    digest = ParallelDataset.open(train_files(directory, {"files": files})).digest()
    read = counts["pairs"] + counts["held_out"]
    table = describe_dropped(read, counts["train"], counts["held_out"], counts["dropped"], counts["skipped"])
    for line in table:
        say(line)
    manifest = {
        "inputs": inputs,
        "settings": settings_that_matter(resolved.data, resolved.tokenizer, given is not None),
        "preset": choice._asdict(),
        "languages": list(languages),
        "counts": counts,
        "train_text": with_text,
        "train_pairs": digest,
        "vocab_size": list(tokenizers.sizes),
        "files": files,
        "parts": shared.parts.placed,
        "libraries": library_versions(),
    }
    write_manifest(directory, manifest)
    return digest


def _require_same_pairs(found: str, begun: Begun) -> None:
    """Raise `DataError` if training pairs are not those that the run was begun with."""
    if begun.train_digest not in (None, found):
        raise DataError(
            f"{begun.run} was begun with other training pairs than these corpora and settings make (a test corpus "
            "also counts, because its sentences are left out of the training); put them back as they were, or begin "
            "another run with run=DIRECTORY"
        )


def _is_current(path: Path, config: Config, inputs: dict[str, Any], begun: Begun | None) -> bool:
    """Whether the directory holds what these settings would make of these inputs; say why if it does not."""
    if not (path / MANIFEST).exists():
        return False
    try:
        manifest = read_manifest(path)
        verify_files(path, manifest)
    except DataError as error:
        say(f"{error}; preparing again")
        return False
    if begun is not None:
        if not has_vocabulary(manifest, begun.vocabulary):
            say(f"{path} has another vocabulary than {begun.run}; preparing again")
            return False
        # The vocabulary is the right one, whether it was trained here or given.
        names = (TOKENIZER, NORMALIZATION_TABLE)
        own = {name: entry for name, entry in manifest["inputs"].items() if name in names}
        inputs = {name: entry for name, entry in inputs.items() if name not in names} | own
    if has_other_inputs(manifest, inputs):
        say(f"the inputs of {path} have changed; preparing again")
        return False
    choice = stored_choice(manifest)
    if choice is None and config.preset == "auto":
        say(f"{path} does not say which preset it is for, because an older version made it; preparing again")
        return False
    resolved = resolve_settings(config, choice.name if choice is not None else config.preset, manifest["languages"])
    wanted = settings_that_matter(resolved.data, resolved.tokenizer, TOKENIZER in inputs)
    if begun is not None:
        wanted["tokenizer"] = manifest["settings"]["tokenizer"]
    if manifest["settings"] != wanted:
        say(f"the settings of {path} have changed; preparing again")
        return False
    # Text that nobody reads does no harm, so this counts in one direction only.
    if _needs_text(resolved) and not manifest.get("train_text", False):
        say(
            f"{path} has no text of the training pairs, which training.subword_sampling and augmentation read; "
            "preparing again"
        )
        return False
    return True


def _needs_text(config: Config) -> bool:
    """Whether the text of training pairs is kept: what is altered or sampled in training is made from it."""
    return config.training.subword_sampling > 0.0 or config.augmentation.is_on


def _refuse_run(config: Config, path: Path) -> None:
    """Raise `DataError` if prepared data would be mixed with the files of the run."""
    run, prepared = run_directory(config).resolve(), path.resolve()
    inside = prepared.relative_to(run).parts if prepared.is_relative_to(run) else None
    if run.is_relative_to(prepared) or (inside and inside[0] in _PARTS_OF_A_RUN):
        raise DataError(
            f"data.prepared: {path} holds the run {run}, or is a part of it; choose a directory for prepared data alone"
        )


def _refuse_foreign_directory(path: Path) -> None:
    if not path.exists():
        return
    if not path.is_dir():
        raise DataError(f"{path} is a file; expected a directory for the prepared data (data.prepared)")
    if not (path / MANIFEST).exists() and any(path.iterdir()):
        raise DataError(
            f"{path} holds files but no {MANIFEST}, so it is no prepared data of ours and is left alone; "
            "choose another directory (data.prepared)"
        )
