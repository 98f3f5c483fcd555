"""Settings of guided alignment: which head learns, and which settings contradict each other."""

import pytest

from translator.config import Config, guided_head, load_config
from translator.errors import ConfigError

ON = ["training.guided_alignment=0.05", "data.train=a.{en,de}", "data.alignments=a.links"]


def load(*words: str) -> Config:
    return load_config(None, ["preset=tiny", *words])


@pytest.mark.parametrize(
    ("words", "head"),
    [
        ([], "cross.3.1"),
        (["model.decoder_layers=1"], "cross.1.1"),
        (["training.guided_alignment_head=4.2"], "cross.4.2"),
        (["training.guided_alignment_head=cross.2.4"], "cross.2.4"),
        (["model.cross_heads=[1, 2, 3, 4]", "training.guided_alignment_head=4.4"], "cross.4.4"),
    ],
)
def test_a_head_learns(words: list[str], head: str) -> None:
    config = load(*ON, *words)
    assert str(guided_head(config.training, config.model)) == head
    off = load(*words)
    assert guided_head(off.training, off.model) is None


@pytest.mark.parametrize("head", ["5.1", "1.5", "0.1", "1", "encoder.1.1", "best"])
def test_a_head_that_the_model_lacks_is_refused(head: str) -> None:
    expected = r"expected `auto` or LAYER\.HEAD with a layer from 1 to 4 and one of its heads \(4, 4, 4, 4\)"
    with pytest.raises(ConfigError, match=rf"guided_alignment_head: found .*, {expected}"):
        load(f"training.guided_alignment_head={head}")


def test_links_are_needed_and_belong_to_training_corpora() -> None:
    with pytest.raises(ConfigError, match="no training corpus has word links to learn; set data.alignments"):
        load(*ON[:2])
    entry = '{path: "a.{en,de}", alignments: a.links}'
    assert load(ON[0], f"data.train=[{entry}]").data.train[0].alignments == "a.links"  # type: ignore[index, union-attr]
    with pytest.raises(
        ConfigError, match=r"data\.alignments: data\.train is a list of entries; give each entry its own"
    ):
        load(*ON[::2], 'data.train=[{path: "a.{en,de}"}]')
    with pytest.raises(ConfigError, match=r"data\.valid, entry 1, alignments: only training corpora have them"):
        load(f"data.valid=[{entry}]")
