"""Pictures of heads: every weight in its cell, pieces at their rows and columns, and text that is never markup."""

import sys
import warnings
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from tests.inspection.made_up import HOSTILE, made_up_maps
from translator.config import KINDS, Head, parse_head
from translator.errors import ConfigError, DataError, TranslatorError
from translator.inspection import AttentionMaps
from translator.inspection.labels import readable
from translator.inspection.pictures import draw_attention

UNEVEN = ((3, 1, 2), (1, 4, 2))


def drawn(figure: Figure) -> dict[str, Any]:
    """The maps of a figure, by title."""
    return {axes.get_title(loc="left") or axes.get_title(): axes for axes in figure.axes if axes.images}


def check_cells(axes: Any, maps: AttentionMaps, head: Head) -> None:
    """Compare what is drawn with the weights; only the future is masked."""
    shown = axes.images[0].get_array()
    weights = maps.of(head)
    future = np.triu(np.ones(weights.shape, dtype=bool), 1) & (head.kind == "decoder")
    assert (np.ma.getmaskarray(shown) == future).all()
    assert (shown.filled(0.0) == np.where(future, 0.0, weights)).all()


@pytest.mark.parametrize("part", [None, "all", "cross", "decoder"])
def test_every_head_has_a_small_map(tmp_path: Path, figures: list[Figure], part: str | None) -> None:
    maps = made_up_maps(heads=UNEVEN)
    draw_attention(maps, tmp_path / "all.png", part)
    heads = [head for head in maps.heads() if part in (None, "all", head.kind)]
    found = drawn(figures[0])
    assert list(found) == list(map(str, heads))
    for head in heads:
        check_cells(found[str(head)], maps, head)
    # Layers are rows and heads are columns, even if layers have different numbers of heads.
    places = {head: found[str(head)].get_position() for head in heads}
    for one in heads:
        for other in heads:
            if one.kind == other.kind:
                assert (one.layer == other.layer) == (places[one].y0 == pytest.approx(places[other].y0))
                assert (one.head == other.head) == (places[one].x0 == pytest.approx(places[other].x0))
    overlaps = [
        (one, other)
        for one in heads
        for other in heads
        if one < other and places[one].overlaps(places[other])
    ]  # fmt: skip
    assert not overlaps
    assert [axes.get_ylabel() for axes in figures[0].axes if not axes.images] == ["attention weight"]


@pytest.mark.parametrize("kind", KINDS)
def test_one_head_has_all_labels(tmp_path: Path, figures: list[Figure], kind: str) -> None:
    maps = made_up_maps()
    draw_attention(maps, tmp_path / "one.svg", f"{kind}.2.1")
    (axes,) = drawn(figures[0]).values()
    check_cells(axes, maps, Head(kind, 2, 1))
    rows, columns = maps.labels(kind)
    assert [label.get_text() for label in axes.get_yticklabels()] == list(rows)
    assert [label.get_text() for label in axes.get_xticklabels()] == list(columns)
    assert list(axes.get_yticks()) == list(range(len(rows)))
    assert list(axes.get_xticks()) == list(range(len(columns)))
    titles = [text.get_text() for text in figures[0].texts]
    assert len(titles) == 1 and titles[0].startswith("my_$run$: ") and titles[0].endswith("layer 2, head 1")


def test_a_layer_has_labels_at_its_outer_edges(tmp_path: Path, figures: list[Figure]) -> None:
    maps = made_up_maps(heads=((1, 1, 1), (2, 2, 6)))
    draw_attention(maps, tmp_path / "layer.png", "cross.2")
    found = drawn(figures[0])
    assert list(found) == [f"head {number}" for number in range(1, 7)]
    for number, axes in enumerate(found.values(), start=1):
        check_cells(axes, maps, Head("cross", 2, number))
        # Four in a row: the third and fourth have nothing below them.
        assert bool(len(axes.get_yticks())) == (number in (1, 5))
        assert bool(len(axes.get_xticks())) == (number in (3, 4, 5, 6))


def test_the_scale_of_colours_is_that_of_the_weights(tmp_path: Path, figures: list[Figure]) -> None:
    maps = made_up_maps([f"\u2581{n}" for n in range(30)], [f"\u2581{n}" for n in range(30)])
    draw_attention(maps, tmp_path / "one.png", "encoder.1.1")
    draw_attention(maps, tmp_path / "decoder.png", "decoder.1.1")
    draw_attention(maps, tmp_path / "all.png")
    norms = [{(a.images[0].norm.vmin, a.images[0].norm.vmax) for a in drawn(f).values()} for f in figures]
    for norm, heads in zip(norms, ([Head("encoder", 1, 1)], [Head("decoder", 1, 1)], maps.heads()), strict=True):
        ((least, most),) = norm
        # The begin token can only look at itself, so its weight is ignored.
        largest = max(float(maps.of(head)[int(head.kind == "decoder") :].max()) for head in heads)
        assert least == 0.0 and largest <= most <= largest + 0.1


@pytest.mark.parametrize("ending", [".png", ".svg", ".pdf", ".PNG"])
@pytest.mark.parametrize("part", [None, "cross.2", "decoder.2.1"])
def test_hostile_text_is_text(tmp_path: Path, ending: str, part: str | None, capfd: pytest.CaptureFixture[str]) -> None:
    maps = made_up_maps(HOSTILE, HOSTILE[::-1], heads=UNEVEN)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        file = draw_attention(maps, tmp_path / "new" / f"hostile{ending}", part)
    # If a font lacks characters, one warning says so.
    assert len(capfd.readouterr().err.splitlines()) <= (0 if ending == ".svg" else 1)
    if ending == ".svg":
        written = [element.text for element in ElementTree.parse(file).iter() if element.tag.endswith("text")]
        if part is not None:
            _, columns = maps.labels(part.split(".")[0])
            assert {readable(piece) for piece in columns if len(piece) > 1} <= set(written)
        assert "my_$run$" in "".join(text or "" for text in written)
    elif ending == ".pdf":
        assert file.read_bytes().startswith(b"%PDF")
    else:
        assert min(imread(file).shape[:2]) > 300


def test_the_same_maps_make_the_same_file(tmp_path: Path) -> None:
    for ending in (".png", ".svg", ".pdf"):
        one, two = (draw_attention(made_up_maps(), tmp_path / f"{n}{ending}", "cross.1") for n in "ab")
        assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("count", [1, 100])
def test_a_picture_grows_with_its_pieces_within_limits(tmp_path: Path, figures: list[Figure], count: int) -> None:
    maps = made_up_maps([f"\u2581word{n}" for n in range(count)], ["\u2581a"])
    draw_attention(maps, tmp_path / "one.png", "encoder.1.1")
    draw_attention(maps, tmp_path / "all.png")
    (axes,) = drawn(figures[0]).values()
    box = axes.get_window_extent()
    inches = box.width / figures[0].dpi
    assert box.width == pytest.approx(box.height) and 1.4 < inches < 13.0
    # A label is not higher than its cell.
    assert axes.get_yticklabels()[0].get_fontsize() / 72 <= inches / (count + 1)
    assert all(side < 20.0 for side in figures[1].get_size_inches())


def test_what_cannot_be_drawn_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maps = made_up_maps(heads=UNEVEN)
    with pytest.raises(ConfigError, match=r"cross\.2\.3 is not in my_\$run\$, whose cross layers have 2, 2 heads"):
        draw_attention(maps, tmp_path / "a.png", "cross.2.3")
    with pytest.raises(ConfigError, match=r"encoder\.3 is not in"):
        draw_attention(maps, tmp_path / "a.png", "encoder.3")
    for name in ("cross.0.1", "cros", "cross.1.1.1", "", " cross 1"):
        with pytest.raises(ConfigError, match=r"expected KIND\.LAYER\.HEAD") if name else pytest.raises(DataError):
            draw_attention(maps, tmp_path / ("a.png" if name else "a.gif"), name)
    (tmp_path / "file").touch()
    with pytest.raises(TranslatorError, match="cannot be written .*is not a directory.* --output"):
        draw_attention(maps, tmp_path / "file" / "a.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(TranslatorError, match="pip install matplotlib"):
        draw_attention(maps, tmp_path / "a.png")


def test_names_of_heads_are_those_that_parse() -> None:
    for head in made_up_maps(heads=UNEVEN).heads():
        assert parse_head(str(head)) == head
