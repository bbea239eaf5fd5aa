"""What a DICOM file says of its pixels' distance, and what a turn makes of it."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from pipeline.io.radiograph import read_radiograph
from pipeline.io.spacing import Spacing
from tests.report.test_report_dicom import source

FILM = np.tile(np.arange(96, dtype=np.uint8), (80, 1))


@pytest.mark.parametrize(
    "tags, spacing",
    [
        ({}, None),
        ({"ImagerPixelSpacing": [0.2, 0.15]}, Spacing(0.2, 0.15, "detector")),
        ({"PixelSpacing": [0.15, 0.15]}, Spacing(0.15, 0.15, "detector")),
        (
            {"PixelSpacing": [0.2, 0.2], "ImagerPixelSpacing": [0.2, 0.2]},
            Spacing(0.2, 0.2, "detector"),
        ),
        (
            {"PixelSpacing": [0.18, 0.18], "ImagerPixelSpacing": [0.2, 0.2]},
            Spacing(0.18, 0.18, "patient"),
        ),
        (
            {"PixelSpacing": [0.2, 0.2], "PixelSpacingCalibrationType": "FIDUCIAL"},
            Spacing(0.2, 0.2, "patient"),
        ),
        ({"NominalScannedPixelSpacing": [0.175, 0.175]}, Spacing(0.175, 0.175, "detector")),
        ({"ImagerPixelSpacing": [0, 0]}, None),
        ({"ImagerPixelSpacing": [0.1, 1.0]}, None),
        ({"ImagerPixelSpacing": [143, 143]}, None),  # micrometres
        ({"PixelSpacing": [9, 9], "ImagerPixelSpacing": [0.2, 0.2]}, Spacing(0.2, 0.2, "detector")),
    ],
)
def test_spacing_is_read_where_it_makes_sense(tags, spacing):
    assert read_radiograph(source(FILM, **tags)).spacing == spacing


def test_a_turned_image_shows_its_columns_as_rows():
    tags = {"ImagerPixelSpacing": [0.2, 0.15]}
    film = read_radiograph(source(FILM, PatientOrientation=["F", "R"], **tags))
    assert film.repairs == ("turned_left",)
    assert film.spacing == Spacing(0.2, 0.15)
    assert film.shown_spacing == Spacing(0.15, 0.2)
    again = replace(film, repairs=(*film.repairs, "turned_left", "mirrored"))
    assert again.shown_spacing == Spacing(0.2, 0.15)


def test_pictures_have_none():
    assert read_radiograph(cv2.imencode(".png", FILM)[1].tobytes()).shown_spacing is None
