"""Assembles the page: template, styles, scripts and data become one HTML document that loads nothing else."""

from collections.abc import Mapping

from translator.inspection.maps import AttentionMaps
from translator.inspection.page.encoding import encode_maps
from translator.runtime.page import offline_page

# In execution order.
_SCRIPTS = ("data.js", "text.js", "colour.js", "overview.js", "enlarged.js", "lines.js", "checkpoints.js", "start.js")
_STYLES = ("page.css", "enlarged.css", "lines.css")


def attention_page(maps: AttentionMaps, checkpoints: Mapping[int, AttentionMaps] | None = None) -> str:
    """Return an HTML document that shows every head of `maps`; write it as UTF-8.

    With maps of the same sentences at several `checkpoints`, by step, a slider moves through the training.

    The sentences are data, never markup (see `offline_page`). Raises `DataError` if a weight is not finite.
    """
    return offline_page(__package__, "page.html", _STYLES, _SCRIPTS, encode_maps(maps, checkpoints))
