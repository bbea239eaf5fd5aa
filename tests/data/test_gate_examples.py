"""What the gate's detector is fitted with."""

from collections import Counter
from itertools import islice

import numpy as np
import pytest

from pipeline.data import gate_examples
from pipeline.data.drawn_ct import draw_slices
from pipeline.data.gate_examples import (
    MEDNIST,
    RADIOGRAPH,
    copy_picture,
    copy_radiograph,
    drawn_pictures,
    drawn_slices,
    phantoms,
)


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [lambda: drawn_slices(4), drawn_pictures, lambda: phantoms(2)],
    ids=["slices", "pictures", "phantoms"],
)
def test_examples_are_seeded_and_in_range(make):
    for one, same in zip(make(), make(), strict=True):
        np.testing.assert_array_equal(one.pixels, same.pixels)
        assert one.pixels.dtype == np.float32
        assert 0 <= one.pixels.min() <= one.pixels.max() <= 255


def test_slices_of_both_planes_differ_by_seed():
    first, second = draw_slices(3, 0), draw_slices(3, 1)
    assert Counter(s.group for s in first) == {"axial": 3, "coronal": 3}
    for one, other in zip(first, second, strict=True):
        assert one.pixels.shape != other.pixels.shape or not np.array_equal(
            one.pixels, other.pixels
        )


@pytest.mark.parametrize("copy", [copy_radiograph, copy_picture])
def test_copies_are_varied_pictures_of_one_size(copy, films):
    image = films["clear"][0].astype(np.float32)
    rng = np.random.default_rng(0)
    copies = [copy(image, rng) for _ in range(12)]
    for changed in copies:
        assert changed.shape == (gate_examples.SIZE, gate_examples.SIZE)
        assert changed.dtype == np.float32
        assert 0 <= changed.min() <= changed.max() <= 255
    assert len({changed.tobytes() for changed in copies}) == 12


def test_the_app_s_examples_must_pass():
    assert {picture.kind for picture in phantoms(0)} == {RADIOGRAPH}


def test_a_window_shows_air_black(data):
    if not (data / "mednist").is_dir():
        pytest.skip("MedNIST is not there")
    pictures = list(islice(gate_examples.mednist(data, 4), 8))
    assert {p.group for p in pictures} == {"MedNIST AbdomenCT", "MedNIST AbdomenCT, lung window"}
    assert {p.kind for p in gate_examples.mednist(data, 1)} == set(MEDNIST.values())
    plain, shown = pictures[::2], pictures[1::2]
    assert np.mean([np.mean(p.pixels < 30) for p in shown]) > np.mean(
        [np.mean(p.pixels < 30) for p in plain]
    )


@pytest.mark.slow
def test_parts_of_the_split_are_not_mixed(data):
    names = {}
    for part in ("train", "test"):
        by_source = gate_examples._by_source(data, part)
        names[part] = {image.name for images in by_source.values() for image in images}
    assert names["train"]
    assert not names["train"] & names["test"]
