"""The moving average against its recursion."""

import torch

from translator.training.moving_average import MovingAverage


def test_the_average_follows_its_formula() -> None:
    model = torch.nn.Linear(3, 2)
    average = MovingAverage(model, decay=0.5)
    expected = model.weight.detach().clone()
    for step in range(1, 12):
        with torch.no_grad():
            model.weight += torch.randn(2, 3)
        average.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * model.weight.detach()
    torch.testing.assert_close(average.values["weight"], expected)
