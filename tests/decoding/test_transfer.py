"""What goes between the device and the host in a step."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from translator.decoding.transfer import with_few_moves


@given(stays=st.lists(st.booleans(), max_size=40))
def test_sentences_that_stay_keep_their_places_where_they_can(stays: list[bool]) -> None:
    keep = np.flatnonzero(np.array(stays, dtype=bool))
    order = with_few_moves(keep)
    assert sorted(order.tolist()) == keep.tolist()
    assert all(order[place] == place for place in keep.tolist() if place < len(keep))
