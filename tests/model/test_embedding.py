"""Embeddings against their formulas."""

import math

import torch

from translator.attention import pack
from translator.config import ModelSettings
from translator.model import build_model


def test_word_dropout_takes_away_whole_tokens_and_no_position() -> None:
    settings = ModelSettings(
        encoder_layers=1, decoder_layers=1, d_model=6, d_ff=4, num_heads=1, dropout=0.0, word_dropout=0.5
    )
    model = build_model(settings, 20, 20, seed=1)
    batch = pack([list(range(3, 20))] * 20)
    torch.manual_seed(1)
    kept = model.eval().source_embedding(batch)
    found = model.train().source_embedding(batch)
    positions = model.source_embedding.positions(batch.layout.positions(340))
    whole = (found == kept).all(1)
    assert (whole | (found == positions).all(1)).all()
    assert 130 < int(whole.sum()) < 210


def test_vectors_are_scaled_embeddings_plus_sinusoids() -> None:
    settings = ModelSettings(encoder_layers=1, decoder_layers=1, d_model=6, d_ff=4, num_heads=1, dropout=0.0)
    model = build_model(settings, 20, 20, seed=1)
    sentences = [[4, 5, 6], [7]]
    vectors = model.source_embedding(pack(sentences))
    tokens = [(token, position) for sentence in sentences for position, token in enumerate(sentence)]
    for vector, (token, position) in zip(vectors, tokens, strict=True):
        for column in range(6):
            angle = position / 10_000 ** (2 * (column // 2) / 6)
            wave = math.cos(angle) if column % 2 else math.sin(angle)
            expected = math.sqrt(6) * model.output_weight[token, column] + wave
            torch.testing.assert_close(vector[column], expected, atol=1e-6, rtol=1e-5)


def test_a_start_of_zeros_is_a_position_alone_and_changes_nothing_else() -> None:
    settings = ModelSettings(encoder_layers=1, decoder_layers=1, d_model=6, d_ff=4, num_heads=1, dropout=0.0)
    zeros, usual = (build_model(settings, 20, 20, seed=1, zero_start=start) for start in (True, False))
    batch = pack([[4, 5, 6], [7], [4, 4]])
    found, expected = zeros.target_embedding(batch), usual.target_embedding(batch).clone()
    starts = [0, 3, 4]
    expected[starts] = usual.target_embedding.positions(torch.zeros(3, dtype=torch.int64))
    torch.testing.assert_close(found, expected, atol=0, rtol=0)
    torch.testing.assert_close(zeros.source_embedding(batch), usual.source_embedding(batch), atol=0, rtol=0)
    # What stands in for the start token learns nothing from it.
    zeros.target_embedding(pack([[9]])).square().sum().backward()
    assert zeros.target_embedding.weight.grad is not None and not zeros.target_embedding.weight.grad.any()


def test_marian_has_sines_first_and_its_own_wavelengths() -> None:
    settings = ModelSettings(encoder_layers=1, decoder_layers=1, d_model=6, d_ff=4, num_heads=1, positions="marian")
    table = build_model(settings, 20, 20, seed=1).source_embedding.positions(torch.arange(9))
    for position in range(9):
        angles = [position / 10_000 ** (index / 2) for index in range(3)]
        expected = [*map(math.sin, angles), *map(math.cos, angles)]
        torch.testing.assert_close(table[position], torch.tensor(expected), atol=1e-6, rtol=1e-5)
