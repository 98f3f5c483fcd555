"""What a beam search has chosen so far, as back-pointers, so that no hypothesis is copied while it grows.

Everything stays on the device until `hypotheses` reads it once, at the end.
Shapes: N sentences of the batch, M of them still searched, K hypotheses of each, L steps.
"""

import torch
from torch import Tensor

from translator.decoding.request import Hypothesis


class Trellis:
    """Back-pointers of the live hypotheses and a pool of the K best complete ones of each sentence."""

    def __init__(self, sentences: int, width: int, steps: int, device: torch.device) -> None:
        self.tokens = torch.zeros(steps, sentences, width, dtype=torch.int64, device=device)
        self.parents = torch.zeros(steps, sentences, width, dtype=torch.int64, device=device)
        # A free place in the pool has the score -inf.
        self.scores = torch.full((sentences, width), float("-inf"), device=device)
        self.log_probabilities = torch.full((sentences, width), float("-inf"), device=device)
        self.ends = torch.zeros(sentences, width, 2, dtype=torch.int64, device=device)

    def extend(self, step: int, rows: Tensor, parents: Tensor, tokens: Tensor) -> None:
        """Record that at `step` hypothesis k of sentence `rows[m]` is `parents[m, k]` plus `tokens[m, k]`."""
        self.tokens[step, rows] = tokens
        self.parents[step, rows] = parents

    def finish(self, step: int, rows: Tensor, parents: Tensor, log_probabilities: Tensor, scores: Tensor) -> None:
        """Offer candidates [M, C] that end at `step` after hypothesis `parents`; -inf is no offer."""
        width = self.scores.size(1)
        ends = torch.stack([torch.full_like(parents, step), parents], dim=-1)  # [M, C, 2]
        # The earlier come first and the sort is stable: of two equal scores the one found first stays.
        scores = torch.cat([self.scores[rows], scores], dim=1)
        scores, order = scores.sort(dim=1, descending=True, stable=True)
        order = order[:, :width]
        self.scores[rows] = scores[:, :width]
        log_probabilities = torch.cat([self.log_probabilities[rows], log_probabilities], dim=1)
        self.log_probabilities[rows] = log_probabilities.gather(1, order)
        ends = torch.cat([self.ends[rows], ends], dim=1)
        self.ends[rows] = ends.gather(1, order.unsqueeze(-1).expand(-1, -1, 2))

    def hypotheses(self, count: int) -> list[list[Hypothesis]]:
        """Read at most `count` complete hypotheses of every sentence, best first."""
        tokens, parents = self.tokens.cpu().numpy(), self.parents.cpu().numpy()
        scores, log_probabilities = self.scores.tolist(), self.log_probabilities.tolist()
        results = []
        for sentence, ends in enumerate(self.ends.tolist()):
            found = []
            for place, (step, parent) in enumerate(ends[:count]):
                if scores[sentence][place] == float("-inf"):
                    break
                pieces = []
                for earlier in range(step - 1, -1, -1):
                    pieces.append(int(tokens[earlier, sentence, parent]))
                    parent = parents[earlier, sentence, parent]
                log_probability, score = log_probabilities[sentence][place], scores[sentence][place]
                found.append(Hypothesis(tuple(pieces[::-1]), log_probability, score))
            results.append(found)
        return results
