"""Which of sacreBLEU's tokenizers BLEU uses: the one that suits the target language and its text.

BLEU counts words. Where a script does not separate them by spaces, the tokenizer 13a leaves one "word" to a sentence,
and the score is close to 0 however good the translations are.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from translator.errors import EvaluationError

TOKENIZERS = ("13a", "none", "zh", "ja-mecab", "ko-mecab", "char", "intl", "flores200", "flores101", "spm")
"""Names of sacreBLEU; flores200, flores101 and spm are SentencePiece models, which sacreBLEU downloads on first use."""
AUTO = "auto"

_CHINESE, _JAPANESE, _KOREAN, _UNSPACED = "zh", "ja-mecab", "ko-mecab", "char"
_LANGUAGES = {
    _CHINESE: "zh zho chi cmn yue wuu nan hak gan hsn lzh cdo cjy cn chinese",
    _JAPANESE: "ja jpn jp japanese",
    _KOREAN: "ko kor korean",
    # Thai, Lao, Khmer, Burmese, Shan, Tibetan, Dzongkha, Northern Thai, Lü, Yi.
    _UNSPACED: "th tha thai lo lao km khm khmer my mya bur burmese shn bo bod tib tibetan dz dzo nod khb ii iii",
}
# ISO 15924, as in zho_Hant or ja-Jpan.
_SCRIPTS = {
    _CHINESE: "hans hant hani hanb",
    _JAPANESE: "jpan hrkt hira kana",
    _KOREAN: "kore hang",
    _UNSPACED: "thai laoo khmr mymr tibt lana talu tale yiii",
    "13a": "latn cyrl arab grek deva",
}
_TOKENIZER_OF_LANGUAGE = {code: name for name, codes in _LANGUAGES.items() for code in codes.split()}
_TOKENIZER_OF_SCRIPT = {code: name for name, codes in _SCRIPTS.items() for code in codes.split()}
_NAMES = {
    _CHINESE: "Chinese",
    _JAPANESE: "Japanese",
    _KOREAN: "Korean",
    _UNSPACED: "text without spaces between words",
}

_HAN = re.compile("[\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_KANA = re.compile("[\u3041-\u30ff\u31f0-\u31ff\uff66-\uff9f]")
_HANGUL = re.compile("[\u1100-\u11ff\u3131-\u318e\ua960-\ua97f\uac00-\ud7ff]")
# Thai, Lao, Tibetan, Burmese and its extensions, Khmer, Tai Le, New Tai Lue, Tai Tham, Yi.
_OTHER_UNSPACED = re.compile(
    "[\u0e01-\u0e5b\u0e81-\u0edf\u0f00-\u0fff\u1000-\u109f\ua9e0-\ua9fe\uaa60-\uaa7f\u1780-\u17ff\u1950-\u19df"
    "\u1a20-\u1aad\ua000-\ua4cf]"
)

# Least share of the letters that are of such a script, by what the language code says: that the language is written so,
# nothing, or that it is not. Latin letters are many to a word, and technical Japanese has many of them.
_CONFIRMS, _DECIDES, _CONTRADICTS = 0.1, 0.3, 0.5
# Japanese without kana is rare, and so are kana in Chinese.
_LEAST_KANA = 0.05
_LINES = 2000


def choose_tokenizer(wanted: str, language: str | None, references: Sequence[str]) -> tuple[str, str | None]:
    """Return the tokenizer that BLEU uses, and a sentence about the choice for people if it is not obvious.

    `wanted` is a name of `TOKENIZERS`, which is taken as it is, or `auto`: what `default_tokenizer` returns, or `char`
    if that is one of the MeCab tokenizers and its library is not installed. Raises `EvaluationError` if `wanted` is
    unknown or not available.
    """
    if wanted != AUTO:
        require_tokenizer(wanted)
        return wanted, None
    suited = default_tokenizer(language, references)
    if suited == "13a":
        return suited, None
    try:
        require_tokenizer(suited)
    except EvaluationError:
        extra = {_JAPANESE: "ja", _KOREAN: "ko"}[suited]
        return _UNSPACED, (
            f"BLEU is computed over characters (tokenizer char): {suited}, which suits {_NAMES[suited]}, is not "
            f"installed; `pip install 'sacrebleu[{extra}]'` brings it. Scores of the two cannot be compared"
        )
    return suited, f"BLEU uses the tokenizer {suited}, which suits {_NAMES[suited]}"


def require_tokenizer(name: str) -> None:
    """Raise `EvaluationError` if BLEU does not know a tokenizer or its library is not installed."""
    make_bleu(name, lowercase=False)


def make_bleu(tokenize: str, lowercase: bool) -> Any:
    """Return sacreBLEU's BLEU; raise `EvaluationError` if the tokenizer is unknown or its library is not installed."""
    from sacrebleu.metrics.bleu import BLEU

    if tokenize not in TOKENIZERS:
        raise EvaluationError(f"there is no BLEU tokenizer {tokenize!r}; expected {', '.join(TOKENIZERS)}")
    try:
        # `force` only silences sacreBLEU's warning about tokenised output; `appearance.py` warns more precisely.
        return BLEU(tokenize=tokenize, lowercase=lowercase, force=True)
    except SystemExit:
        # How sacreBLEU ends if a download fails.
        raise EvaluationError(
            f"BLEU with the tokenizer {tokenize} needs a SentencePiece model, which cannot be downloaded; connect to "
            "the network once, or choose another tokenizer"
        ) from None
    except (ImportError, RuntimeError, OSError) as error:
        raise EvaluationError(
            f"BLEU with the tokenizer {tokenize} is not available here: {' '.join(str(error).split())}"
        ) from None


def default_tokenizer(language: str | None, references: Iterable[str] = ()) -> str:
    """Return the name of the tokenizer that suits a target language and its text.

    `language` is a code as people write them (zh, zho_Hans, zh-CN, cmn), a name, or anything else. The text overrules
    the code: a column may be called anything, and Japanese may be written in Latin letters.
    """
    by_code = _by_code(language)
    by_text, share = _by_text(references)
    if by_text is None:
        return by_code or "13a"
    needed = _DECIDES if by_code is None else _CONTRADICTS if by_code == "13a" else _CONFIRMS
    if share < needed:
        return "13a"
    return _JAPANESE if by_text == _CHINESE and by_code == _JAPANESE else by_text


def _by_code(language: str | None) -> str | None:
    """Return the tokenizer for a code, 13a for what looks like the code of another language, None for anything else."""
    parts = re.findall(r"[a-z0-9]+", (language or "").lower())
    if not parts:
        return None
    for part in parts[1:]:
        if part in _TOKENIZER_OF_SCRIPT:
            return _TOKENIZER_OF_SCRIPT[part]
    return _TOKENIZER_OF_LANGUAGE.get(parts[0], "13a" if len(parts[0]) in (2, 3) else None)


def _by_text(lines: Iterable[str]) -> tuple[str | None, float]:
    """Return the tokenizer for the most frequent script of those without spaces, and the share of all of these in the
    letters; None and 0 if there are no letters."""
    counts = {_CHINESE: 0, _JAPANESE: 0, _KOREAN: 0, _UNSPACED: 0}
    spaced = 0
    for line in islice(lines, _LINES):
        han, kana = len(_HAN.findall(line)), len(_KANA.findall(line))
        hangul, other = len(_HANGUL.findall(line)), len(_OTHER_UNSPACED.findall(line))
        counts[_CHINESE] += han
        counts[_JAPANESE] += kana
        counts[_KOREAN] += hangul
        counts[_UNSPACED] += other
        # Vowel signs of Thai and others are no letters for Python, so that the difference may be negative.
        spaced += max(sum(map(str.isalpha, line)) - han - kana - hangul - other, 0)
    total = sum(counts.values())
    if not total + spaced:
        return None, 0.0
    share = total / (total + spaced)
    if counts[_JAPANESE] >= _LEAST_KANA * (counts[_JAPANESE] + counts[_CHINESE]):
        # Japanese is a mixture of the two.
        counts[_JAPANESE] += counts[_CHINESE]
    return max(counts, key=lambda name: (counts[name], name)), share
