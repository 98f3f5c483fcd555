"""Picture files: the formats, a check before drawing, and writing a figure in the house style."""

import importlib
import io
import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from translator.errors import TranslatorError
from translator.runtime.console import warn
from translator.runtime.outputs import check_output, write_output

PICTURES = (".png", ".svg", ".pdf")
FONT_SIZE = 9.0
GREY = "#505050"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's colours, which people with any kind of colour vision can tell apart; without their yellow, which is
too pale for lines."""

_STYLE = {
    "font.size": FONT_SIZE, "axes.titlesize": FONT_SIZE + 1, "axes.titleweight": "bold", "axes.titlelocation": "left",
    "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": "#808080", "axes.labelcolor": GREY,
    "axes.grid": True, "grid.color": "#E6E6E6", "grid.linewidth": 0.8, "axes.axisbelow": True,
    "lines.linewidth": 1.4, "legend.frameon": False,
    # Text remains text that can be searched and edited; the same drawing gives the same bytes.
    "svg.fonttype": "none", "pdf.fonttype": 42, "svg.hashsalt": "translator",
}  # fmt: skip
# Fonts for scripts that matplotlib's own font does not cover; those that are installed are used.
_OTHER_FONTS = (
    "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans JP", "Noto Sans SC", "Noto Sans KR", "Source Han Sans",
    "Noto Sans Devanagari", "Noto Sans Bengali", "Noto Sans Tamil", "Noto Sans Thai", "Noto Sans Arabic",
    "Noto Sans Hebrew", "Noto Sans", "Noto Emoji", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback",
    "IPAexGothic", "Hiragino Sans", "PingFang SC", "Apple SD Gothic Neo", "Yu Gothic", "Microsoft YaHei",
    "Malgun Gothic", "Nirmala UI", "Arial Unicode MS", "FreeSans", "Unifont",
)  # fmt: skip


def check_picture(path: Path) -> None:
    """Check, before the work begins, that a picture can be written to `path`.

    Raises what `check_output` raises, and `TranslatorError` if matplotlib is not installed.
    """
    check_output(path, PICTURES)
    require_matplotlib()


def write_picture(path: Path, draw: Callable[[], Any], style: Mapping[str, Any] | None = None) -> Path:
    """Write the figure that `draw` returns as PNG, SVG or PDF, by the ending of `path`; return `path`.

    `draw` is called with the house style, in which `style` (matplotlib's settings) replaces entries. Raises what
    `check_picture` raises.
    """
    check_picture(path)
    matplotlib = require_matplotlib()
    form = path.suffix[1:].lower()
    undated = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[form]
    file = io.BytesIO()
    with warnings.catch_warnings(record=True) as caught, matplotlib.rc_context({**_STYLE, **(style or {})}):
        warnings.simplefilter("always")
        draw().savefig(file, format=form, dpi=150, metadata=undated)
    _explain(caught, form)
    return write_output(path, file.getvalue())


def font_families() -> list[str]:
    """Return fonts for text in any language: matplotlib's own, then the installed ones for other scripts."""
    from matplotlib import font_manager

    installed = set(font_manager.get_font_names())
    return ["DejaVu Sans", *(name for name in _OTHER_FONTS if name in installed)]


def require_matplotlib() -> Any:
    """Import matplotlib; raise `TranslatorError` if it is not installed."""
    try:
        return importlib.import_module("matplotlib")
    except ImportError as error:
        raise TranslatorError(
            f"plotting needs the package matplotlib, which cannot be imported ({error}); run `pip install matplotlib`"
        ) from None


def _explain(caught: list[warnings.WarningMessage], form: str) -> None:
    """Warn once about all characters that no font has, instead of once for each; pass other warnings on."""
    missing = set()
    for warning in caught:
        glyph = re.match(r"Glyph (\d+) ", str(warning.message))
        if glyph is not None:
            missing.add(chr(int(glyph[1])))
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    # In SVG, whoever opens the file chooses the font.
    if missing and form != "svg":
        few = " ".join(f"U+{ord(character):04X}" for character in sorted(missing)[:5])
        more = ", ..." if len(missing) > 5 else ""
        warn(
            f"no installed font draws {few}{more}, so the picture has boxes instead; install a font such as Noto "
            "Sans, or write .svg"
        )
