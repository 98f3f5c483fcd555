"""A run as a directory for `transformers`: `AutoModelForSeq2SeqLM` and `AutoTokenizer` load it, with the same logits.

Post-norm models become MarianMTModel, pre-norm models PegasusForConditionalGeneration. Nothing of that library is
needed to write the files.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from translator.checkpoints import Bundle
from translator.interop.card import Score
from translator.interop.checksums import explained_writing, listed_files, write_checksums
from translator.interop.huggingface.card import model_card
from translator.interop.huggingface.config import (
    generation_config,
    model_config,
    refuse_foreign_model,
    vocabulary_sizes,
)
from translator.interop.huggingface.tokenizer import padding, write_tokenizer
from translator.interop.huggingface.weights import library_tensors
from translator.runtime.directories import new_directory


def export_huggingface(bundle: Bundle, directory: str | Path, scores: Sequence[Score] = ()) -> Path:
    """Write a loaded run as a model directory for `transformers` and return its path.

    An earlier export there is replaced. `scores` go into the model card. Raises `ConfigError` if that library has no
    model of this shape, `TokenizerError` if it has no tokenizer of this kind, `OutputError` if the directory has files
    of others, and `CheckpointError` if it cannot be written.
    """
    from safetensors.torch import save_file

    path = Path(directory)
    settings = bundle.config.model
    refuse_foreign_model(settings)
    zero_row = padding(bundle.tokenizers).index if bundle.tokenizers.target.zero_start else None
    tensors = library_tensors(bundle.model.state_dict(), settings, *vocabulary_sizes(bundle), zero_row)
    with explained_writing(path), new_directory(path, listed_files) as partial:
        write_tokenizer(bundle, partial)
        for name, content in (("config", model_config(bundle)), ("generation_config", generation_config(bundle))):
            (partial / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")
        (partial / "README.md").write_text(model_card(bundle, scores), encoding="utf-8")
        # The library refuses files that do not say which framework wrote them.
        save_file(tensors, partial / "model.safetensors", metadata={"format": "pt"})
        write_checksums(partial)
    return path
