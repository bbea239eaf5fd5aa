"""The split is data: every image has one part, and an image that was not dealt has none."""

from collections import Counter, defaultdict

import numpy as np
import pytest

from pipeline.data.database import read_database
from pipeline.data.split import (
    CLASS_OF,
    PARTS,
    Row,
    films_of,
    group_near_duplicates,
    read_split,
    row_of,
)
from pipeline.models.spec import CLASSES
from tests.drawn import make_database, write_split


@pytest.fixture
def dealt(tmp_path, films, monkeypatch):
    """Six images of each class, dealt train, validation, test, none and so on; and their folder."""
    root = make_database(tmp_path / "database", films)
    parts = (*PARTS, "none", "train", "test")
    names = [image.name for image in read_database(root)]
    rows = [(n, "bimcv", n.rsplit("-", 1)[0], "", n, parts[int(n[-1])]) for n in names]
    (tmp_path / "weights").mkdir()
    write_split(tmp_path / "weights" / "split.csv", rows)
    monkeypatch.setenv("PULMOSCOPE_WEIGHTS", str(tmp_path / "weights"))
    return root, rows


@pytest.mark.parametrize(
    "part, numbers",
    [("train", "04"), ("validation", "1"), ("test", "25"), ("all", "012345")],
)
def test_a_part_is_what_the_table_says(dealt, part, numbers):
    found = [image.name for image in films_of(dealt[0], part)]
    assert Counter(found) == Counter(f"{c}-{i}" for c in CLASSES for i in numbers)


@pytest.mark.parametrize("part", PARTS)
def test_an_image_that_was_not_dealt_is_refused(dealt, part, tmp_path):
    root, rows = dealt
    write_split(tmp_path / "weights" / "split.csv", rows[:-1])
    with pytest.raises(ValueError, match=rf"{rows[-1][0]} is not in weights/split\.csv"):
        films_of(root, part)
    assert len(films_of(root)) == 24


def test_an_unknown_part_is_refused(dealt):
    with pytest.raises(ValueError, match="received 'tset'"):
        films_of(dealt[0], "tset")


def test_the_table_is_that_of_the_weights_in_use(dealt, tmp_path, monkeypatch):
    assert len(read_split()) == 24
    monkeypatch.delenv("PULMOSCOPE_WEIGHTS")
    assert len(read_split()) > 10_000
    monkeypatch.setenv("PULMOSCOPE_WEIGHTS", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError):
        read_split()


@pytest.mark.parametrize(
    "source, label, finding, stratum, target",
    [
        ("bimcv", "COVID", "", "COVID", "COVID"),
        ("bimcv", "COVID", "typical", "COVID", "COVID"),
        ("bimcv", "COVID", "negative", "contradictory", None),
        ("rsna", "Normal", "", "Normal", "Normal"),
        ("siim", "", "typical", "siim typical", "COVID"),
        ("siim", "", "negative", "siim negative", "Normal"),
        ("siim", "", "atypical", "siim atypical", "Lung_Opacity"),
        ("siim", "", "indeterminate", "siim indeterminate", None),
        ("shenzhen", "", "tuberculosis", "shenzhen tuberculosis", "Lung_Opacity"),
        ("covid_qu_ex", "", "", "covid_qu_ex", None),
    ],
)
def test_what_a_classifier_is_taught(source, label, finding, stratum, target):
    row = Row("x", source, label, finding, "g", "train")
    assert (row.stratum, row.target) == (stratum, target)


# -- the table that is shipped ------------------------------------------------------------------


def test_no_group_is_in_two_parts():
    parts = defaultdict(set)
    for row in read_split().values():
        if row.part != "none":
            parts[row.group].add(row.part)
    assert not [group for group, found in parts.items() if len(found) > 1]


def test_every_stratum_is_dealt_75_15_10():
    strata = defaultdict(Counter)
    for row in read_split().values():
        strata[row.label or f"{row.source} {row.finding}"][row.part] += 1
    for name, counts in strata.items():
        dealt = sum(counts[part] for part in PARTS)
        for part, share in zip(PARTS, (0.75, 0.15, 0.10), strict=True):
            assert counts[part] / dealt == pytest.approx(share, abs=0.03), (name, part)


def test_every_line_is_complete_and_every_class_is_known():
    rows = read_split().values()
    assert {row.part for row in rows} == {*PARTS, "none"}
    assert all(row.image and row.source and row.group for row in rows)
    assert {row.label for row in rows} == {*CLASSES, ""}
    assert set(CLASS_OF) <= {row.stratum for row in rows}
    assert set(CLASS_OF.values()) == set(CLASSES)


@pytest.mark.data
def test_every_real_image_was_dealt_under_its_own_class(data):
    images = films_of(data, siim=True)
    assert len(images) > 15_000
    for image in images:
        row = row_of(image)
        assert row.label == (image.label or ""), image.name
        assert row.source == image.source, image.name


# -- near-duplicates ----------------------------------------------------------------------------


def test_near_duplicates_are_grouped(films):
    image, other = films["clear"][0], films["rotated"][0]
    darker = np.clip(image * 0.7 + 30, 0, 255).astype(np.uint8)
    groups = group_near_duplicates(np.stack([image, darker, other])[..., None])
    assert groups[0] == groups[1] != groups[2]


def test_groups_are_connected_components():
    """a resembles b and b resembles c, but a does not resemble c: one group all the same."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (4, 1024)).astype(np.uint8)
    turned = rng.permutation(1024)[:80]  # each flip of 40 pixels costs 2 x 40 / 1024
    pixels[1:3] = pixels[0]
    pixels[1:3, turned[:40]] = 255 - pixels[0, turned[:40]]
    pixels[2, turned[40:]] = 255 - pixels[0, turned[40:]]
    stack = pixels.reshape(4, 32, 32, 1)
    assert len(set(group_near_duplicates(stack[[0, 2]], 0.88))) == 2
    assert group_near_duplicates(stack, 0.88).tolist() in ([0, 0, 0, 1], [1, 1, 1, 0])
