"""Models by their name on the Hugging Face hub, downloaded only when asked for."""

from pathlib import Path

from translator.errors import CheckpointError

HUB = "hub:"
_WANTED = ["config.json", "generation_config.json", "tokenizer_config.json", "vocab.json", "target_vocab.json", "*.spm"]
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")


def download(name: str) -> Path:
    """Return the directory of a model of the hub; raise `CheckpointError` if it cannot be had."""
    # Comes with `datasets`.
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        directory = Path(snapshot_download(name, allow_patterns=[*_WANTED, _WEIGHTS[0]]))
        if not (directory / _WEIGHTS[0]).is_file():
            directory = Path(snapshot_download(name, allow_patterns=[*_WANTED, _WEIGHTS[1]]))
    except (OSError, ValueError, HfHubHTTPError, LocalEntryNotFoundError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"cannot load {HUB}{name}: {reason}. Check the name and the connection, or name a directory"
        ) from None
    return directory
