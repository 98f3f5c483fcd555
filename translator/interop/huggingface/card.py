"""The model card: README.md of a directory for `transformers`, as the Hugging Face hub shows it."""

import json
from collections.abc import Sequence

from translator.checkpoints import Bundle
from translator.interop.card import Score, describe_run, describe_scores, languages_of
from translator.interop.huggingface.tokenizer import marian_tag

_CONVERTER = (
    "Do not use CTranslate2's own converter on this directory: it misreads models of this kind without an error (it "
    "lets the decoder begin with a vector of zeros and drops the last row of the embeddings). Run `translator export "
    "RUN --to ctranslate2` instead."
)


def model_card(bundle: Bundle, scores: Sequence[Score]) -> str:
    """Return the card: how to use the model, what it was trained on, its scores, and what to beware of."""
    source, targets = languages_of(bundle)
    name = f"{source or 'source'}-{'+'.join(targets) or 'target'}"
    lines = [
        *_front_matter([*([source] if source else []), *targets]),
        f"# Translation model {name}",
        "",
        "Trained and exported by the program translator: `translator export RUN --to huggingface`.",
        "",
        "## Use",
        "",
        *_example(bundle, targets),
        "",
        "## Model and data",
        "",
        *describe_run(bundle),
        "",
        "## Scores",
        "",
        *describe_scores(scores),
        "",
        "## Beware",
        "",
        *(f"* {warning}" for warning in _warnings(bundle)),
    ]
    return "\n".join(lines) + "\n"


def _front_matter(languages: Sequence[str]) -> list[str]:
    lines = ["---", "library_name: transformers", "pipeline_tag: translation"]
    if languages:
        # Quoted, for YAML reads `no` as false.
        lines += ["language:", *(f"- {json.dumps(language, ensure_ascii=False)}" for language in languages)]
    return [*lines, "tags:", "- translation", "---", ""]


def _example(bundle: Bundle, targets: Sequence[str]) -> list[str]:
    tag = f"{marian_tag(targets[0])} " if bundle.config.data.language_tags and targets else ""
    text = [
        "```python",
        "from transformers import AutoModelForSeq2SeqLM, AutoTokenizer",
        "",
        'tokenizer, model = (kind.from_pretrained(".") for kind in (AutoTokenizer, AutoModelForSeq2SeqLM))',
        f'batch = tokenizer(["{tag}A line of text."], return_tensors="pt", padding=True)',
        "print(tokenizer.batch_decode(model.generate(**batch), skip_special_tokens=True))",
        "```",
    ]
    if tag:
        tags = ", ".join(f"`{marian_tag(language)}`" for language in targets)
        text += ["", f"Every line begins with the tag of the language to translate into: {tags}."]
    return text


def _warnings(bundle: Bundle) -> list[str]:
    decoding = bundle.config.decoding
    warnings = [
        *([] if bundle.tokenizers.target.zero_start else [_CONVERTER]),
        "A line that begins with `>>` and contains `<<` is read as one with a language tag; begin it with a space to "
        "have it translated as text.",
        "A translation may have as many pieces as the model has positions. `translator translate` sets a limit for "
        f"each line: {decoding.max_length_factor:g} times its pieces + {decoding.max_length_extra}.",
    ]
    if decoding.beam_size > 1 and decoding.length_penalty == "gnmt" and decoding.length_alpha > 0:
        warnings.append(
            "The run ranks hypotheses with the length penalty ((5 + n) / 6) ** "
            f"{decoding.length_alpha:g}, which this library does not have; `length_penalty` is the exponent that comes "
            "nearest to it, so beam search may prefer another translation here and there."
        )
    return warnings
