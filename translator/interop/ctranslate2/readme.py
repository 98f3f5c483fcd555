"""README.md of a CTranslate2 model directory: how to translate with it, from Python."""

from collections.abc import Sequence

from translator.checkpoints import Bundle
from translator.decoding.hypothesis import LengthPenalty
from translator.interop.card import Score, describe_run, describe_scores, languages_of
from translator.text.tokenizer_pair import tokenizer_files


def usage(bundle: Bundle, quantization: str, scores: Sequence[Score] = (), with_shortlist: bool = False) -> str:
    """Return the text: an example that runs in the directory, what the model is, and its scores."""
    source, targets = languages_of(bundle)
    decoding = bundle.config.decoding
    # Its decoder begins with the start token.
    longest = bundle.config.model.max_positions - 1
    files = tokenizer_files(bundle.tokenizers.joint)
    ids = bundle.tokenizers.source.tags if bundle.config.data.language_tags else {}
    symbols = bundle.tokenizers.source.pieces([ids[language] for language in sorted(ids)])
    penalty = LengthPenalty(decoding.length_penalty, decoding.length_alpha)
    lines = [
        f"# CTranslate2 model {source or 'source'}-{'+'.join(targets) or 'target'}",
        "",
        f"Exported by the program translator: `translator export RUN --to ctranslate2 --quantize {quantization}"
        f"{' --shortlist' if with_shortlist else ''}`.",
        "",
        "```python",
        "import ctranslate2, sentencepiece",
        "",
        'translator = ctranslate2.Translator(".", device="cpu")',
        f'source, target = (sentencepiece.SentencePieceProcessor(model_file=name) for name in ("{files[0]}", '
        f'"{files[-1]}"))',
        'pieces = source.encode(["A line of text."], out_type=str)',
        *([f'pieces = [["{symbols[0]}", *line] for line in pieces]'] if symbols else []),
        f"answers = translator.translate_batch(pieces, beam_size={decoding.beam_size}, length_penalty="
        f"{penalty.exponent:g}, max_decoding_length={min(256, longest)}{', use_vmap=True' if with_shortlist else ''})",
        "print(target.decode([answer.hypotheses[0] for answer in answers]))",
        "```",
        "",
        "The model adds the end of the sentence to the source itself, and begins every translation by itself. "
        "`target_prefix` makes translations begin with given pieces of the target.",
    ]
    if symbols:
        tags = ", ".join(f"`{symbol}`" for symbol in symbols)
        lines += [
            "",
            f"The first piece of every source is the tag of the language to translate into: {tags}. No text is encoded "
            "as a tag, so it is put before the pieces, as above; `target_prefix` does not choose the language.",
        ]
    lines += ["", "## Model and data", "", *describe_run(bundle), "", "## Scores", "", *describe_scores(scores)]
    return "\n".join(lines) + "\n"
