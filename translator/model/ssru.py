"""A recurrent cell in place of the decoder's self-attention: the Simpler Simple Recurrent Unit.

    f_t = sigmoid(W_f x_t + b_f)
    c_t = f_t * c_{t-1} + (1 - f_t) * W x_t,   c_0 = 0
    output_t = relu(c_t)

Kim et al. 2019, "From Research to Production and Back: Ludicrously Fast Neural Machine Translation", section 3. What a
hypothesis keeps of its past is one vector, so that a decoding step takes the same time however long the past is.

Legend (docs/shapes.md): `T` target tokens.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from translator.attention import Layout


class SSRU(nn.Module):
    """`gate` has W_f and b_f, `update` has W."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.gate = nn.Linear(d_model, d_model)
        self.update = nn.Linear(d_model, d_model, bias=False)
        for linear in (self.gate, self.update):
            nn.init.xavier_uniform_(linear.weight)
        nn.init.zeros_(self.gate.bias)

    def forward(self, states: Tensor, layout: Layout) -> Tensor:
        """All positions of known targets at once: `[T, d_model]` to `[T, d_model]`."""
        forget = torch.sigmoid(self.gate(states).float())
        added = (1.0 - forget) * self.update(states).float()
        first = layout.positions(len(states)) == 0
        output: Tensor = torch.relu(scan(forget.masked_fill(first[:, None], 0.0), added, layout.max_length))
        return output.to(states.dtype)


def scan(forget: Tensor, added: Tensor, longest: int) -> Tensor:
    """Solve c_t = forget_t * c_{t-1} + added_t for packed sentences of at most `longest` tokens, all `[T, d_model]`.

    `forget` is zero at the first token of every sentence, which keeps the sentences apart. Steps are composed in pairs,
    then in fours, and so on (Hillis and Steele 1986): as many rounds as `longest` has bits, instead of one a token.
    """
    distance = 1
    while distance < longest:
        # (f, a) after (f', a') is (f * f', a + f * a'): `forget` and `added` now span twice as many steps.
        added = added + forget * _shifted(added, distance)
        forget = forget * _shifted(forget, distance)
        distance *= 2
    return added


def _shifted(values: Tensor, distance: int) -> Tensor:
    """Row t has what row t - `distance` had, and zeros where there is none."""
    return functional.pad(values[: max(len(values) - distance, 0)], (0, 0, min(distance, len(values)), 0))
