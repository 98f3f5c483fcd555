"""Settings of model, tokenizer, data and training that are impossible together, a sentence each."""

from itertools import pairwise

from translator.config.corpus_spec import corpus_mistakes, entries_of
from translator.config.guided_alignment import guided_mistakes
from translator.config.heads import KINDS
from translator.config.schema import Config
from translator.config.sections import TokenizerSettings
from translator.runtime.counted import counted


def tokenizer_mistakes(settings: TokenizerSettings) -> list[str]:
    """Return a sentence for every contradiction among the settings of the tokenizer."""
    has_table = "table" in (settings.normalization, settings.source_normalization)
    if has_table == (settings.normalization_table is not None):
        return []
    return [
        "tokenizer.normalization_table: set it together with tokenizer.normalization=table or "
        "tokenizer.source_normalization=table, or leave both out"
    ]


def contradictions(config: Config) -> list[str]:
    """Return a sentence for every contradiction among the settings of a run whose preset is known."""
    problems = corpus_mistakes(config.data)
    model, training = config.model, config.training
    if model.head_dim is None and model.d_model % model.num_heads:
        problems.append(
            f"model.num_heads: {model.num_heads} heads do not divide model.d_model = {model.d_model}; "
            "choose a divisor or set model.head_dim"
        )
    for kind in KINDS:
        layers = model.attention_layers(kind)
        if len(model.heads(kind)) != layers:
            problems.append(
                f"model.{kind}_heads: found {counted(len(model.heads(kind)), 'number')}, expected {layers}, one for "
                f"each {'encoder' if kind == 'encoder' else 'decoder'} layer"
            )
    if model.positions != "learned" and (model.d_model % 2 or model.d_model < 4):
        problems.append(
            f"model.d_model: {model.positions} positions need an even width of at least 4; found {model.d_model}"
        )
    # Of given tokenizers it is checked when they are loaded: two may have the same pieces with the same ids.
    if model.tie_embeddings == "all" and not config.tokenizer.joint and config.tokenizer.model is None:
        problems.append(
            "model.tie_embeddings: `all` needs one vocabulary (tokenizer.joint: true); expected decoder or none"
        )
    problems += tokenizer_mistakes(config.tokenizer)
    problems += _stage_mistakes(config)
    problems += guided_mistakes(config)
    if training.average_last > training.keep_last:
        problems.append(
            f"training.average_last: {training.average_last} checkpoints cannot be averaged when "
            f"training.keep_last is {training.keep_last}; raise keep_last"
        )
    if training.sharded and training.batch_tokens == "auto":
        problems.append("training.batch_tokens: auto cannot try sizes with training.sharded; state a number")
    if training.average_best > training.keep_best:
        problems.append(
            f"training.average_best: {training.average_best} checkpoints cannot be averaged when "
            f"training.keep_best is {training.keep_best}; raise keep_best"
        )
    if config.data.max_length >= model.max_positions:
        problems.append(
            f"data.max_length: {config.data.max_length} pieces and the end of sentence do not fit into "
            f"model.max_positions = {model.max_positions}"
        )
    return problems


def _stage_mistakes(config: Config) -> list[str]:
    problems, corpora = [], len(entries_of(config.data.train))
    stages = config.training.stages
    for number, stage in enumerate(stages, start=1):
        where = f"training.stages, stage {number}"
        if corpora and len(stage.weights) != corpora:
            problems.append(
                f"{where}: found {counted(len(stage.weights), 'weight')}, expected {corpora}, one for each entry of "
                "data.train"
            )
        if not any(stage.weights):
            problems.append(f"{where}: all weights are 0; expected at least one corpus")
        if (stage.until is None) != (number == len(stages)):
            expected = "leave it out of the last stage" if stage.until else "say when it ends, such as until: 20k"
            problems.append(f"{where}, until: {expected}")
    ends = [(number, stage.until) for number, stage in enumerate(stages, start=1) if stage.until is not None]
    for (_, before), (number, until) in pairwise(ends):
        if until.unit == before.unit and until.amount <= before.amount:
            problems.append(f"training.stages, stage {number}, until: found {until}, expected more than {before}")
    return problems
