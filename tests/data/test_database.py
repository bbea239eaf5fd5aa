"""Reading the database's layout: what is found, where it comes from, what is refused."""

from collections import Counter

import cv2
import numpy as np
import pytest

from pipeline.data.database import (
    CLASSES,
    Film,
    load_films,
    load_masks,
    read_database,
    read_grey,
    source_name,
)
from tests.drawn import make_database, make_siim


@pytest.fixture(scope="module")
def database(tmp_path_factory, films):
    return make_siim(make_database(tmp_path_factory.mktemp("database"), films), films)


def test_classes_masks_and_sources(database):
    found = read_database(database)
    assert Counter(image.label for image in found) == dict.fromkeys(CLASSES, 6)
    assert {image.source for image in found} == {"bimcv"}
    assert {image.name for image in found if image.mask} == {
        f"{c}-{i}" for c in CLASSES for i in (0, 2, 4)
    }
    assert all(image.mask.stem == image.name for image in found if image.mask)
    assert found == read_database(database / "COVID-19_Radiography_Dataset")
    assert [image.stratum for image in found[:1]] == ["COVID"]


def test_siim_comes_only_where_it_is_asked_for(database):
    found = read_database(database, siim=True)
    assert Counter(image.source for image in found) == {"bimcv": 24, "siim": 16}
    siim = [image for image in found if image.source == "siim"]
    assert {image.stratum for image in siim} == {"siim"}
    assert not any(image.label or image.mask for image in siim)


def test_pairs_without_a_class(tmp_path, films):
    root = make_database(tmp_path, films, per_class=1)
    image, mask = films["clear"]
    for kind, pixels in (("images", image), ("masks", mask)):
        folder = root / "lung_segmentation" / "shenzhen" / kind
        folder.mkdir(parents=True)
        cv2.imwrite(str(folder / "CHN_1.png"), pixels)
    (pair,) = [image for image in read_database(root) if not image.label]
    assert (pair.source, pair.stratum, pair.mask.stem) == ("shenzhen", "shenzhen", "CHN_1")


def test_images_and_masks_as_arrays(database, films):
    found = [image for image in read_database(database) if image.mask]
    images, masks = load_films(found, 64), load_masks(found, 64)
    assert images.shape == masks.shape == (12, 64, 64, 1)
    assert images.dtype == masks.dtype == np.uint8
    assert set(np.unique(masks)) == {0, 255}
    inside = masks[0, ..., 0] > 0
    truth = next(iter(films.values()))[1][::8, ::8] > 127
    assert 2 * (inside & truth).sum() / (inside.sum() + truth.sum()) > 0.95


def test_an_image_of_the_size_asked_for_is_not_touched(database):
    image = read_database(database)[0]
    np.testing.assert_array_equal(load_films([image], 128)[0, ..., 0], read_grey(image.path))


def test_empty_folder_names_the_layout(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected <class>/images"):
        read_database(tmp_path)


def test_what_is_no_image_is_named(tmp_path):
    (tmp_path / "COVID-1.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"COVID-1\.png is not an image"):
        load_films([Film(tmp_path / "COVID-1.png", "COVID", "sirm")], 64)


@pytest.mark.parametrize(
    "url, name",
    [
        ("https://bimcv.cipf.es/bimcv-projects/bimcv-covid19/", "bimcv"),
        ("https://www.kaggle.com/c/rsna-pneumonia-detection-challenge/data", "rsna"),
        ("https://www.kaggle.com/paultimothymooney/chest-xray-pneumonia", "kermany"),
        ("https://github.com/ieee8023/covid-chestxray-dataset", "ieee8023"),
        ("https://example.org/another", "https://example.org/another"),
        (" ", "unknown"),
    ],
)
def test_short_names_of_sources(url, name):
    assert source_name(url) == name
