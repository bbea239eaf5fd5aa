"""What is done to training images: it varies them, and changes nothing that it should not."""

import cv2
import numpy as np
import pytest

from pipeline.layers.hist_norm import HistNorm
from pipeline.training import augment


class Still:
    """Random numbers that ask for no change."""

    def random(self):
        return 1.0

    def normal(self, mean, spread, size=None):
        return mean if size is None else np.full(size, mean)


@pytest.fixture(scope="module")
def pair(films):
    image, lungs = films["clear"]
    return image[::2, ::2], (lungs[::2, ::2] > 127).astype(np.uint8)


def equalised(image: np.ndarray) -> np.ndarray:
    shown = HistNorm()(image[None, ..., None].astype(np.float32) / np.float32(255))
    return np.rint(np.asarray(shown)[0, ..., 0] * 255)


def test_an_unchanged_copy_is_what_the_graph_shows(pair):
    image, mask = pair
    shown = augment.vary(image, mask, Still())
    assert shown.dtype == np.uint8
    np.testing.assert_array_equal(shown, equalised(image * mask))


def test_a_network_that_sees_everything_is_shown_the_image_as_it_is(pair):
    np.testing.assert_array_equal(augment.vary(pair[0], None, Still()), pair[0])


def test_copies_differ_and_stay_black_outside_the_lungs(pair):
    image, mask = pair
    copies = [augment.vary(image, mask, np.random.default_rng(seed)) for seed in range(12)]
    assert len({copy.tobytes() for copy in copies}) == 12
    for copy in copies:
        assert copy.shape == image.shape and copy.dtype == np.uint8
        assert 0.3 < (copy > 0).sum() / mask.sum() < 1.6
    again = augment.vary(image, mask, np.random.default_rng(3))
    np.testing.assert_array_equal(again, copies[3])


def test_brightness_of_the_lungs_varies_both_ways_without_reordering_levels(pair, monkeypatch):
    """Gamma alone: every level of the equalised lungs keeps its rank."""
    image, mask = pair
    monkeypatch.setattr(augment, "change_acquisition", lambda image, rng: image)
    monkeypatch.setattr(augment, "move", lambda image, mask, rng: (image, mask))
    monkeypatch.setattr(augment, "grow", lambda mask, pixels: mask)
    monkeypatch.setattr(augment, "erase", lambda shown, rng: shown)
    plain = equalised(image * mask)
    rng = np.random.default_rng(0)
    shifts = []
    for _ in range(30):
        shown = augment.vary(image, mask, rng).astype(float)
        order = np.argsort(plain.ravel(), kind="stable")
        levels = shown.ravel()[order]
        assert (np.diff(levels) >= 0).all()
        assert levels[0] == 0 and levels[-1] == 255
        shifts.append((shown - plain)[mask > 0].mean())
    assert min(shifts) < -5 and max(shifts) > 5


def test_acquisition_moves_no_pixel(pair):
    """What changes is sharpness, contrast and noise: the image still lies on itself best."""
    image = pair[0].astype(np.float32)
    changed = 0
    for seed in range(20):
        other = augment.change_acquisition(pair[0], np.random.default_rng(seed))
        assert other.shape == image.shape and other.dtype == np.uint8
        changed += not np.array_equal(other, pair[0])
        shift, _ = cv2.phaseCorrelate(image, other.astype(np.float32))
        assert max(map(abs, shift)) < 0.5
    assert 10 < changed < 20


def test_sharpness_changes_both_ways(pair):
    rng = np.random.default_rng(0)

    def sharpness(image):
        return cv2.Laplacian(image, cv2.CV_32F).std()

    values = [sharpness(augment.change_sharpness(pair[0], rng)) for _ in range(40)]
    assert min(values) < 0.95 * sharpness(pair[0])
    assert max(values) > 1.05 * sharpness(pair[0])


@pytest.mark.parametrize("pixels, larger", [(3, True), (-3, False)])
def test_masks_grow_and_shrink(pair, pixels, larger):
    mask = pair[1]
    other = augment.grow(mask, pixels)
    assert (other.sum() > mask.sum()) == larger
    inner, outer = (mask, other) if larger else (other, mask)
    assert not (inner & ~outer).any()
    np.testing.assert_array_equal(augment.grow(mask, 0), mask)


def test_image_and_mask_move_together_and_leave_no_pixel_behind(pair):
    mask = pair[1] * 255
    rng = np.random.default_rng(3)
    whole_pixels = 0
    for _ in range(30):
        image, moved = augment.move(mask, mask, rng)
        assert set(np.unique(moved)) <= {0, 255}
        inside = image > 127
        assert 2 * (inside & (moved > 0)).sum() / (inside.sum() + (moved > 0).sum()) > 0.98
        assert not np.array_equal(moved, mask)
        whole_pixels += set(np.unique(image)) <= {0, 255}
    assert 8 < whole_pixels < 25


def test_erasing_blackens_some_and_not_all():
    rng = np.random.default_rng(0)
    for _ in range(20):
        left = augment.erase(np.full((64, 64), 9, np.uint8), rng)
        assert set(np.unique(left)) == {0, 9}
        assert 1 - 3 * 0.2**2 - 0.01 < (left > 0).mean() < 1


def test_image_and_lung_mask_of_the_unet_move_together(pair):
    lungs = pair[1] * 255
    rng = np.random.default_rng(3)
    flipped = 0
    for _ in range(20):
        image, mask = augment.vary_pair(lungs, lungs, rng)
        inside = image > (int(image.min()) + int(image.max())) / 2
        assert 2 * (inside & (mask > 127)).sum() / (inside.sum() + (mask > 127).sum()) > 0.9
        # The heart makes the left lung the smaller one: where is it?
        flipped += (mask[:, :128] > 127).sum() < (mask[:, 128:] > 127).sum()
    assert 4 < flipped < 16


def test_exposure_bends_the_scale_of_grey():
    """Three levels mixed at random over the image: their middle one moves against the others."""
    rng = np.random.default_rng(0)
    levels = rng.choice(np.uint8([40, 80, 120]), (256, 256))
    bends = []
    for _ in range(40):
        changed = augment.change_exposure(levels, rng).astype(float)
        low, middle, high = (changed[levels == level].mean() for level in (40, 80, 120))
        bends.append(np.log((high - middle) / (middle - low)))
    assert min(bends) < -0.1 and max(bends) > 0.1
    assert abs(np.median(bends)) < 0.1
