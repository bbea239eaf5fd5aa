"""Sizes of drawn lungs, whose sizes are known."""

import numpy as np
import pytest

from pipeline.io.spacing import Spacing
from pipeline.quality.measures import lung_measures


def two_ellipses(rows: int = 256, columns: int = 256) -> np.ndarray:
    """Axes in shares of the image: 0.6 high, 0.2 and 0.16 wide, 0.3 apart at the waist."""
    r, c = np.mgrid[0 : 1 : rows * 1j, 0 : 1 : columns * 1j]
    right = ((r - 0.5) / 0.3) ** 2 + ((c - 0.25) / 0.1) ** 2 < 1
    left = ((r - 0.5) / 0.3) ** 2 + ((c - 0.73) / 0.08) ** 2 < 1
    return (right | left).astype(np.float32)


def test_lengths_and_areas_of_ellipses():
    spacing = Spacing(0.2, 0.1, "detector")
    found = lung_measures(two_ellipses(), (2000, 3000), spacing)
    assert found.at == "detector"
    assert found.right_height == pytest.approx(0.6 * 2000 * 0.2, rel=0.02)
    assert found.right_width == pytest.approx(0.2 * 3000 * 0.1, rel=0.03)
    assert found.left_width == pytest.approx(0.16 * 3000 * 0.1, rel=0.03)
    area = np.pi * 0.3 * 0.1 * (2000 * 0.2) * (3000 * 0.1) / 100
    assert found.right_area == pytest.approx(area, rel=0.02)
    assert found.left_area == pytest.approx(0.8 * area, rel=0.02)
    assert found.thorax_width == pytest.approx((0.81 - 0.15) * 3000 * 0.1, rel=0.02)


def test_the_ratio_is_the_heart_s_over_the_thorax_s_whatever_the_spacing():
    mask = np.zeros((200, 200), np.float32)
    mask[20:180, 20:80] = mask[20:180, 120:180] = 1
    mask[120:160, 70:80] = mask[120:160, 120:140] = 0  # a heart of 70 in a thorax of 160
    for shape, spacing in (((200, 200), None), ((800, 400), Spacing(0.1, 0.2, "patient"))):
        found = lung_measures(mask, shape, spacing)
        assert found.cardiothoracic_ratio == pytest.approx(70 / 160, abs=0.01)
    assert found.heart_width == pytest.approx(70 * 2 * 0.2, rel=0.03)
    assert lung_measures(mask, (200, 200), None).right_height is None


def test_a_mirrored_mask_changes_sides():
    mask = two_ellipses()
    one = lung_measures(mask, (256, 256), Spacing(1, 1))
    other = lung_measures(mask[:, ::-1].copy(), (256, 256), Spacing(1, 1))
    assert (one.right_area, one.left_width) == (other.left_area, other.right_width)


def test_without_two_lungs_there_are_no_measures():
    one = two_ellipses()
    one[:, 128:] = 0
    assert lung_measures(np.zeros((64, 64), np.float32), (64, 64), None) is None
    assert lung_measures(one, (256, 256), Spacing(1, 1)) is None
