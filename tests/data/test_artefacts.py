"""Ink on images: it only brightens, lies where it was asked for, and leaves the rest alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.data.artefacts import KINDS, paint

UNIT = st.floats(0, 1)


@settings(max_examples=40)
@given(st.sampled_from(KINDS), UNIT, UNIT, st.floats(0.02, 0.2))
def test_ink_only_brightens(kind, row, column, size):
    image = np.full((120, 90), 100, np.float32)
    painted = paint(image, kind, row, column, size)
    assert painted.shape == image.shape and painted.dtype == np.float32
    assert (painted >= image).all() and painted.max() <= 255


@pytest.mark.parametrize("kind", KINDS)
def test_ink_lies_where_it_was_asked_for(kind):
    image = np.zeros((200, 200), np.float32)
    rows, columns = np.nonzero(paint(image, kind, 0.6, 0.8, 0.1))
    assert not image.any()
    if kind == "tube":
        assert rows.min() == 0  # it comes from the upper edge
        assert abs(rows.max() - 120) < 6 and abs(columns[rows == rows.max()].mean() - 160) < 10
    else:
        assert abs(rows.mean() - 119) < 8 and abs(columns.mean() - 159) < 12


def test_unknown_kind():
    with pytest.raises(ValueError, match="kind is one of"):
        paint(np.zeros((9, 9), np.float32), "sticker", 0, 0, 0.1)
