"""Presets of students: small models whose decoder is shallow."""

import pytest

from translator.config import load_config, suggest_preset


@pytest.mark.parametrize(
    ("preset", "shape"), [("student", (6, 2, 256, 1536, 8)), ("student-tiny", (4, 1, 128, 256, 4))]
)
def test_a_student_has_its_shape_with_either_decoder_cell(preset: str, shape: tuple[int, ...]) -> None:
    for cell in ("attention", "ssru"):
        model = load_config(None, [f"preset={preset}", f"model.decoder_cell={cell}"]).model
        found = (model.encoder_layers, model.decoder_layers, model.d_model, model.d_ff, model.num_heads)
        assert (found, model.decoder_cell) == (shape, cell)


def test_auto_never_chooses_a_student() -> None:
    assert {suggest_preset(10**power) for power in range(12)} == {"tiny", "small", "base", "big"}
