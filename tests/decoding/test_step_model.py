"""The order in which sentences are kept."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from translator.decoding.step_model import with_few_moves


@given(stays=st.lists(st.booleans(), max_size=40))
def test_sentences_keep_their_index_if_they_can(stays: list[bool]) -> None:
    keep = np.flatnonzero(np.array(stays, dtype=bool))
    order = with_few_moves(keep)
    assert sorted(order.tolist()) == keep.tolist()
    assert all(order[index] == index for index in keep.tolist() if index < len(keep))
