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
