"""Pairs with text in another script than that of their language.

Scripts have their codes of ISO 15924, which names of languages may carry (`srp_Latn`, `zh-Hant`).
"""

import functools
import re
from collections.abc import Callable

from translator.errors import DataError
from translator.text.corpus import Languages
from translator.text.languages import language_code

_RANGES = {
    "Latn": "A-Za-zªºÀ-ÖØ-öø-ʸ\u1e00-\u1eff\u2c60-\u2c7f\ua720-\ua7ff\ufb00-\ufb06\uff21-\uff3a\uff41-\uff5a",
    "Grek": "\u0370-\u03ff\u1f00-\u1fff",
    "Cyrl": "\u0400-\u052f\u1c80-\u1c8f\u2de0-\u2dff\ua640-\ua69f",
    "Armn": "\u0531-\u0588\ufb13-\ufb17",
    "Hebr": "\u05d0-\u05f2\ufb1d-\ufb4f",
    "Arab": "\u0620-\u065f\u066e-\u06d3\u06d5-\u06ef\u06fa-\u06ff\u0750-\u077f\u08a0-\u08ff\ufb50-\ufdff\ufe70-\ufefc",
    "Thaa": "\u0780-\u07bf",
    "Deva": "\u0900-\u0963\u0971-\u097f",
    "Beng": "\u0980-\u09e3\u09f0-\u09f1",
    "Guru": "\u0a01-\u0a5e\u0a70-\u0a75",
    "Gujr": "\u0a81-\u0ae3",
    "Orya": "\u0b01-\u0b63\u0b71",
    "Taml": "\u0b82-\u0bd7",
    "Telu": "\u0c00-\u0c63",
    "Knda": "\u0c80-\u0ce3",
    "Mlym": "\u0d00-\u0d63\u0d7a-\u0d7f",
    "Sinh": "\u0d81-\u0df3",
    "Thai": "\u0e01-\u0e3a\u0e40-\u0e4e",
    "Laoo": "\u0e81-\u0ecd\u0edc-\u0edf",
    "Tibt": "\u0f00\u0f40-\u0fbc",
    "Mymr": "\u1000-\u103f\u1050-\u109f",
    "Geor": "\u10a0-\u10ff\u1c90-\u1cbf\u2d00-\u2d2f",
    "Ethi": "\u1200-\u135a\u1380-\u139f\u2d80-\u2ddf",
    "Cans": "\u1400-\u167f",
    "Khmr": "\u1780-\u17d3\u17dc",
    "Mong": "\u1820-\u18aa",
    "Kana": "\u3041-\u309f\u30a0-\u30ff\u31f0-\u31ff\uff66-\uff9d",
    "Hani": "\u2e80-\u2fdf\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af",
    "Hang": "\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff",
    "Yiii": "\ua000-\ua4cf",
}
_OF_CODES = {"Hans": "Hani", "Hant": "Hani", "Jpan": "Hani Kana", "Kore": "Hang Hani", "Hira": "Kana"}
"""Codes that stand for others."""
_OF_LANGUAGES = """
Arab ar fa ps sd ug ur; Armn hy; Beng as bn; Cyrl ab av ba be bg ce cu cv kv ky mk os ru tg uk; Deva bh hi mr ne pi sa;
Ethi am ti; Geor ka; Grek el; Gujr gu; Guru pa; Hang+Hani ko; Hani zh; Hani+Kana ja; Hebr he yi; Khmr km; Knda kn;
Laoo lo; Mlym ml; Mymr my; Orya or; Sinh si; Taml ta; Telu te; Thaa dv; Thai th; Tibt bo dz; Yiii ii;
Latn+Cyrl az bs sr tk tt uz; Latn+Arab ha ku ms; Cyrl+Latn+Arab kk; Cyrl+Mong mn; Arab+Deva ks; Cans+Latn cr iu oj
"""
"""Languages that are not written in Latin script alone."""
_SCRIPTS = {
    language: scripts.split("+")
    for scripts, *languages in (entry.split() for entry in _OF_LANGUAGES.split(";"))
    for language in languages
}


def scripts_of(language: str | None) -> list[str] | None:
    """Return the scripts that a language is written in, by the code of a script in its name or its usual ones.

    None if the language is not known.
    """
    if language is None:
        return None
    for part in re.split("[-_]", language)[1:]:
        if part.title() in _RANGES | _OF_CODES:
            return _OF_CODES.get(part.title(), part.title()).split()
    code = language_code(language)
    return _SCRIPTS.get(code, ["Latn"]) if code is not None else None


def script_share(text: str, scripts: list[str]) -> float:
    """Return the share of letters in one of `scripts` among all letters that are in any script; 1 if there is none."""
    letters = _letters(tuple(_RANGES)).findall(text)
    known = sum(map(len, letters))
    return sum(map(len, _letters(tuple(scripts)).findall(text))) / known if known else 1.0


def less_script_than(share: float, languages: Languages) -> Callable[[str, str], bool]:
    """Return a judge of pairs with a side of which less than `share` is in the script of its language.

    Raises `DataError` if the script of a language is not known.
    """
    scripts = []
    for language in languages:
        own = scripts_of(language)
        if own is None:
            raise DataError(
                f"data.min_script_share: the script of the language {language or '(unknown)'} is not known; set "
                "source_language and target_language to codes such as de, sr-Latn or srp_Cyrl, or leave "
                "data.min_script_share out"
            )
        scripts.append(own)

    def judge(source: str, target: str) -> bool:
        return script_share(source, scripts[0]) < share or script_share(target, scripts[1]) < share

    return judge


@functools.cache
def _letters(scripts: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(f"[{''.join(_RANGES[script] for script in scripts)}]+")
