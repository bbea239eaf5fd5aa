"""Batches hold fixed shares, are a function of seed and number, and show what the graph shows."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.layers.hist_norm import HistNorm
from pipeline.training.batches import Batches, Pairs

STRATA = ("COVID", "siim typical", "Normal", "siim negative")


def numbered(strata, shares, seed=0, targets=None):
    """Batches whose images say which one they are."""
    targets = np.eye(len(strata), dtype=np.float32) if targets is None else targets
    return Batches(strata, shares, lambda i, rng: np.full((2, 2), i, np.float32), targets, seed)


@settings(max_examples=25)
@given(
    st.lists(st.integers(1, 30), min_size=4, max_size=4),
    st.lists(st.integers(1, 4), min_size=4, max_size=4),
    st.integers(0, 3),
)
def test_every_batch_has_the_shares_and_every_image_its_turn(counts, shares, seed):
    strata = np.repeat(STRATA, counts)
    shares = dict(zip(STRATA, shares, strict=True))
    batches = numbered(strata, shares, seed)
    shown = Counter()
    steps = max(-(-c // s) for c, s in zip(counts, shares.values(), strict=True))
    for number in range(steps):
        images, targets = batches[number]
        chosen = images[:, 0, 0, 0].astype(int)
        assert images.shape == (sum(shares.values()), 2, 2, 1)
        assert Counter(strata[chosen]) == shares
        np.testing.assert_array_equal(targets, np.eye(len(strata))[chosen])
        shown.update(chosen.tolist())
    assert set(shown) == set(range(len(strata))), "every image is shown"
    for name in STRATA:
        turns = [shown[i] for i in np.flatnonzero(strata == name)]
        assert max(turns) - min(turns) <= 1, "none is shown again before all have been"


def test_a_batch_is_a_function_of_seed_and_number():
    strata = np.repeat(STRATA, 12)
    shares = dict.fromkeys(STRATA, 3)

    def draw(seed, number):
        batches = Batches(
            strata, shares, lambda i, rng: i + rng.random((2, 2), np.float32), np.eye(48), seed
        )
        return batches[number][0]

    np.testing.assert_array_equal(draw(1, 3), draw(1, 3))
    assert not np.array_equal(draw(1, 3), draw(1, 4))
    assert not np.array_equal(draw(1, 3), draw(2, 3))
    assert not np.array_equal(np.floor(draw(1, 0)), np.floor(draw(1, 4))), "another order each turn"


def test_a_stratum_without_images_is_refused():
    with pytest.raises(ValueError, match="no image belongs to 'siim negative'"):
        numbered(STRATA[:3], dict.fromkeys(STRATA, 1))


# -- pairs for the U-Net ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pairs(films):
    images = np.stack([image[::8, ::8] for image, _ in films.values()])
    return images, np.stack([mask[::8, ::8] for _, mask in films.values()])


def test_unchanged_images_are_what_the_unet_sees_in_the_graph(pairs):
    images, masks = pairs
    shown, targets = Pairs(images, masks, len(images), share=0)[0]
    assert shown.dtype == targets.dtype == np.float32
    seen = HistNorm(name="equalise_film")(images[..., None].astype(np.float32) / np.float32(255))
    mine = sorted(image.tobytes() for image in shown)
    assert mine == sorted(image.tobytes() for image in np.asarray(seen))
    assert set(np.unique(targets)) == {0, 1}
    assert np.sort(targets.sum((1, 2, 3))).tolist() == sorted((masks > 127).sum((1, 2)))


def test_the_share_of_changed_images(pairs):
    images, masks = pairs
    plain = {image.tobytes() for image in Pairs(images, masks, len(images), share=0)[0][0]}
    for share, low, high in ((1.0, 0, 0), (0.5, 0.3, 0.7)):
        batches = Pairs(images, masks, len(images), share=share)
        kept = [image.tobytes() in plain for i in range(10) for image in batches[i][0]]
        assert low <= np.mean(kept) <= high


def test_pairs_come_in_turn_and_are_seeded(pairs):
    images, masks = pairs
    numbered = np.stack([np.full((8, 8), 0, np.uint8)] * 5)
    numbered[:, 0, 0] = np.arange(5)
    marks = np.zeros_like(numbered)
    for i in range(5):
        marks[i, 0, : i + 1] = 255
    batches = Pairs(numbered, marks, 3, share=0)
    order = np.concatenate([batches[i][1].sum((1, 2, 3)) for i in range(5)]).astype(int)
    assert [Counter(order[k : k + 5]) for k in (0, 5, 10)] == [Counter(range(1, 6))] * 3
    first, again, other = (Pairs(images, masks, 4, seed)[2][0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
