"""Assembles the page: template, styles, scripts and data become one HTML document that loads nothing else."""

from translator.inspection.maps import AttentionMaps
from translator.inspection.page.encoding import encode_maps
from translator.runtime.page import offline_page

# In execution order.
_SCRIPTS = ("data.js", "text.js", "colour.js", "overview.js", "enlarged.js", "lines.js", "start.js")
_STYLES = ("page.css", "enlarged.css", "lines.css")


def attention_page(maps: AttentionMaps) -> str:
    """Return an HTML document that shows every head of `maps`; write it as UTF-8.

    The sentences are data, never markup (see `offline_page`). Raises `DataError` if a weight is not finite.
    """
    return offline_page(__package__, "page.html", _STYLES, _SCRIPTS, encode_maps(maps))
