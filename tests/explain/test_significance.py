"""A map is better than chance exactly where it finds what the score rests on."""

import numpy as np
import pytest

from pipeline.explain.significance import BATCH, DRAWS, _cells, heatmap_p

SIZE, STRIDE, OFFSET = 64, 8, 4.0


@pytest.fixture
def lungs() -> np.ndarray:
    inside = np.zeros((SIZE, SIZE), bool)
    inside[:, :48] = True
    return inside


@pytest.fixture
def image(lungs) -> np.ndarray:
    """Lungs with a checkered spot at the upper left, which blurring away makes grey."""
    grey = np.full((SIZE, SIZE), 0.5, np.float32)
    grey[:16, :16] = np.indices((16, 16)).sum(0) % 2
    return grey * lungs


def reads_spot(shown: np.ndarray) -> np.ndarray:
    """A score that rests on the texture of the spot alone."""
    return shown[:, :16, :16].std((1, 2))


def test_a_map_of_the_spot_is_better_than_chance(image, lungs):
    true = np.zeros((8, 8), np.float32)
    true[:2, :2] = 1
    assert heatmap_p(image, lungs, true, STRIDE, OFFSET, reads_spot) == pytest.approx(
        1 / (DRAWS + 1)
    )


def test_a_map_of_another_place_is_not(image, lungs):
    false = np.zeros((8, 8), np.float32)
    false[5:8, 2:5] = 1
    assert heatmap_p(image, lungs, false, STRIDE, OFFSET, reads_spot) > 0.05


def test_heat_outside_the_lungs_does_not_count(image, lungs):
    outside = np.zeros((8, 8), np.float32)
    outside[:, 7] = 1
    assert heatmap_p(image, lungs, outside, STRIDE, OFFSET, reads_spot) == 1
    assert heatmap_p(image, lungs & False, outside, STRIDE, OFFSET, reads_spot) == 1


def test_random_maps_pass_as_seldom_as_chance_has_it(image, lungs):
    """Over 100 random maps and a score that rests on all of the lungs, p below 0.1 in a tenth."""
    rng = np.random.default_rng(0)
    weights = rng.random((SIZE, SIZE))

    def reads_lungs(shown):
        return ((shown - 0.4) * weights).sum((1, 2))

    noise = rng.random((SIZE, SIZE), np.float32) * lungs
    values = [
        heatmap_p(noise, lungs, rng.random((8, 8), np.float32), STRIDE, OFFSET, reads_lungs, seed)
        for seed in range(100)
    ]
    assert 0.03 < np.mean([p <= 0.1 for p in values]) < 0.2
    assert 0.35 < np.mean([p <= 0.5 for p in values]) < 0.65


def test_no_batch_is_larger_than_the_graph_is_used_to(image, lungs):
    sizes = []

    def counts(shown):
        sizes.append(len(shown))
        return np.zeros(len(shown))

    assert heatmap_p(image, lungs, np.ones((8, 8), np.float32), STRIDE, OFFSET, counts) == 1
    assert sizes == [BATCH, DRAWS + 1 - BATCH]


def test_cells_lie_where_they_look():
    cell = _cells((20, 20), (2, 3), 4, 6.0)
    assert cell[6, 6] == 0
    assert cell[6, 10] == 1
    assert cell[10, 14] == 5
    assert cell[0, 0] == -1
    assert cell[6, 19] == -1
