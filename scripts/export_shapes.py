"""Small runs of every shape of model that can be exported, for `check_exports.py --shapes`.

Each has d_model 64 and is trained on the sample corpus for 500 steps: 40 to 90 seconds with one thread.
"""

from pathlib import Path

import sentencepiece

from translator.checkpoints import RunDirectory
from translator.config import load_config
from translator.training import train

_ROOT = Path(__file__).parents[1]
_COMMON = (
    "training.max_steps=500", "training.warmup_steps=100", "training.validate_every=500",
    "training.validation_sentences=50", "model.d_model=64", "model.d_ff=128", "threads=1",
)  # fmt: skip
_TAGS = ("data.language_tags=true", "data.test=null") + tuple(
    f"data.{name}=[{{path: '{_ROOT}/data/{name}.{{en,de}}'}}, {{path: '{_ROOT}/data/{name}.{{de,en}}'}}]"
    for name in ("train", "valid")
)
_NO_START, _NO_STARTS = (
    "tokenizer.model={directory}/en.model",
    "tokenizer.model=[{directory}/en.model, {directory}/de.model]",
)
SHAPES: dict[str, tuple[str, ...]] = {
    "post-gelu-untied": ("model.activation=gelu", "model.tie_embeddings=none"),
    "post-split-decoder-tied": ("tokenizer.joint=false", "model.tie_embeddings=decoder"),
    "post-6+1-layers": ("model.encoder_layers=6", "model.decoder_layers=1"),
    "post-fewer-heads": ("model.encoder_heads=[3,1]", "model.decoder_heads=[2,4]", "model.cross_heads=[1,3]"),
    "post-no-start": (_NO_STARTS, "model.tie_embeddings=decoder"),
    "post-tags": _TAGS,
    "post-learned": ("model.positions=learned",),
    "post-wide-heads": ("model.head_dim=48",),
    "pre-tied": ("model.norm=pre",),
    "pre-learned-gelu": ("model.norm=pre", "model.positions=learned", "model.activation=gelu"),
    "pre-split-untied": ("model.norm=pre", "tokenizer.joint=false", "model.tie_embeddings=none"),
    "pre-fewer-heads-3+1": (
        "model.norm=pre", "model.encoder_layers=3", "model.decoder_layers=1", "model.encoder_heads=[2,4,1]",
        "model.decoder_heads=[3]", "model.cross_heads=[2]", "model.tie_embeddings=decoder",
    ),
    "pre-no-start": ("model.norm=pre", _NO_START),
    "pre-tags": ("model.norm=pre", *_TAGS),
}  # fmt: skip
"""Settings of each shape beyond those of configs/sample-en-de.yaml; `{directory}` is where the runs are."""


def trained(name: str, directory: Path) -> Path:
    """Return the run of a shape in `directory`, which is trained if it is not there yet."""
    run = directory / name
    if not (RunDirectory(run).models / "final").is_dir():
        directory.mkdir(parents=True, exist_ok=True)
        _train_tokenizers(directory)
        stated = [setting.replace("{directory}", str(directory)) for setting in SHAPES[name]]
        train(load_config(_ROOT / "configs/sample-en-de.yaml", [f"run={run}", *_COMMON, *stated]))
    return run


def _train_tokenizers(directory: Path) -> None:
    """Train a tokenizer for each language that has no start token, as Marian's have none."""
    for language in ("en", "de"):
        if not (directory / f"{language}.model").is_file():
            sentencepiece.SentencePieceTrainer.train(
                input=str(_ROOT / f"data/train.{language}"), model_prefix=str(directory / language), model_type="bpe",
                vocab_size=900, bos_id=-1, eos_id=0, unk_id=1, pad_id=-1, minloglevel=3,
            )  # fmt: skip
