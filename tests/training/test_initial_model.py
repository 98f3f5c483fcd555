"""The model before training: what cannot be held is said before it is allocated."""

from pathlib import Path

import pytest

from translator.config import ModelSettings
from translator.errors import DeviceError
from translator.model import parameter_shapes
from translator.runtime import host_memory
from translator.text import load_tokenizers
from translator.training.initial_model import require_training_memory


def test_a_model_that_cannot_be_trained_here_is_refused(tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizers = load_tokenizers(tiny_run)
    settings = ModelSettings(encoder_layers=1, decoder_layers=1, d_model=8, d_ff=8, num_heads=1)
    size = tokenizers.source.vocab_size
    numbers = 0
    for shape in parameter_shapes(settings, size, size).values():
        numbers += shape[0] * (shape[1] if len(shape) > 1 else 1)
    monkeypatch.setattr(host_memory, "free_host_bytes", lambda: numbers * 16)
    require_training_memory(settings, tokenizers, moving_average=False)
    with pytest.raises(DeviceError, match="weights, gradients and optimizer would take .* GiB, and .* GiB are free"):
        require_training_memory(settings, tokenizers, moving_average=True)
