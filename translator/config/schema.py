"""All settings of a run. Each section, such as `training`, has a file of its own in `sections/`, which is its manual.

Defaults are stated there and in `presets.py`, which replaces some by the amount of text; YAML files state only what
differs.
`translator config schema` prints every setting with type, default and meaning.
"""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from translator.config.sections import (
    AugmentationSettings,
    DataSettings,
    DecodingSettings,
    ModelSettings,
    TokenizerSettings,
    TrainingSettings,
)
from translator.config.setting_types import FewCount, Settings
from translator.runtime.device_names import problem_with_device


def _known_device(name: object) -> object:
    if isinstance(name, str) and (problem := problem_with_device(name)):
        raise ValueError(problem)
    return name


class Config(Settings):
    """All settings of a run."""

    run: str | None = None
    """Run directory; by default `runs/` and the name of the configuration file."""
    preset: Literal["auto", "tiny", "mini", "small", "base", "big", "student", "student-tiny"] = "auto"
    """Defaults of model, tokenizer and training by size; `auto` chooses by the amount of training text and, on a CPU,
    by the time that training would take. It never chooses a student: a model with few decoder layers, to be trained on
    a teacher's translations."""
    start_from: str | None = None
    """Fine-tuning: begin with the weights of another run, `RUN` or with those that `--weights NAME` would
    select (`RUN:NAME`). Tokenizer, preset and model settings come from that run; only dropout may differ, and
    `tokenizer.extend` may add to the vocabulary."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 1
    """Seed of initialisation, data order and dropout."""
    device: Annotated[Literal["auto", "cpu", "cuda"], BeforeValidator(_known_device)] = "auto"
    """Where to compute; `auto` is CUDA if there is a device. `CUDA_VISIBLE_DEVICES` chooses one of several."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Number format of matrix products; `auto` is bf16 if the device has instructions for it, else fp32."""
    compile: bool | None = None
    """Compile the model with `torch.compile` on batches of one shape (needs FlashAttention, and random batches); by
    default on CUDA."""
    devices: FewCount = 1
    """Devices (or processes on the CPU) that train or translate together on this machine. Under `torchrun` its
    number of processes counts instead."""
    threads: FewCount | None = None
    """CPU threads of each process; by default all cores."""
    data: DataSettings = DataSettings()
    tokenizer: TokenizerSettings = TokenizerSettings()
    model: ModelSettings = ModelSettings()
    training: TrainingSettings = TrainingSettings()
    augmentation: AugmentationSettings = AugmentationSettings()
    decoding: DecodingSettings = DecodingSettings()
