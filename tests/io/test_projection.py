"""What a DICOM file says that it shows, in words and in codes."""

import pytest
from pydicom.dataset import Dataset

from pipeline.io.projection import body_part_of, projection_of
from pipeline.io.radiograph import read_radiograph
from pipeline.quality.gate import LATERAL
from tests.fuzz.hostile.seeds import dataset, ramp, written

NO_CODES = ((), ())


LATERAL_WORDS = (
    "LL",
    "RL",
    "LATERAL",
    "LAT",
    "LLAT",
    "L LAT",
    "R-LAT",
    "Left Lateral",
    "CHEST LAT",
    "Lat.",
    "LL UPRIGHT",
    "RL ERECT",
    "Thorax seitlich",
    "PROFIL",
    "PERFIL",
    "LATERO-LATERALE",
    "LATEROLATERAL",
)
OBLIQUE_WORDS = ("LAO", "RAO", "LPO", "LLO", "OBLIQUE", "LT OBL")


@pytest.mark.parametrize("stated", LATERAL_WORDS + OBLIQUE_WORDS)
def test_lateral_and_oblique_in_words(stated):
    assert projection_of(stated, *NO_CODES) in LATERAL


@pytest.mark.parametrize(
    "stated",
    [
        "PA",
        "AP",
        "AP SUPINE",
        "",
        "LLD",
        "RLD",
        "AP LAT DECUB",
        "FRONTAL",
        "PLAT",
        "BILATERAL",
        "LL DECUB",
    ],
)
def test_frontal_in_words(stated):
    assert projection_of(stated, *NO_CODES) not in LATERAL


@pytest.mark.parametrize(
    ("code", "meaning", "lateral"),
    [
        ("399067008", "lateral projection", True),
        ("399173006", "left lateral", True),
        ("R-102CD", "lateral", True),
        ("399135007", "left anterior oblique", True),
        ("0-999", "Right lateral view", True),
        ("272479007", "postero-anterior", False),
        ("399348003", "antero-posterior", False),
    ],
)
def test_lateral_by_code(code, meaning, lateral):
    """Also where the View Position says otherwise: one of the two is enough to give no score."""
    for stated in ("", "PA"):
        assert (projection_of(stated, (code,), (meaning,)) in LATERAL) == lateral
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, "SCT", meaning
    data = written(dataset(ramp(maximum=4095), ViewCodeSequence=[item], ViewPosition=""))
    assert (read_radiograph(data).projection in LATERAL) == lateral


@pytest.mark.parametrize(
    "stated",
    [
        "CHEST",
        "CHEST PA",
        "CHEST_AP",
        "Chest 1 view",
        "LUNGS",
        "LUNG",
        "THORAX AP",
        "TORAX",
        "CXR",
        "CHESTPA",
        "CHEST2V",
        "PCXR",
        "Brustkorb",
        "POUMONS",
        "TORACE",
        "LUNGEN",
    ],
)
def test_a_chest_in_words(stated):
    assert body_part_of(stated, *NO_CODES) == "CHEST"


@pytest.mark.parametrize("stated", ["", "UNKNOWN", "OTHER", " ", "N/A"])
def test_a_body_part_that_says_nothing(stated):
    assert body_part_of(stated, *NO_CODES) == ""
    assert body_part_of(stated, ("51185008",), ("Chest",)) == "CHEST"
    assert body_part_of(stated, ("85562004",), ("Hand",)) == "HAND"


@pytest.mark.parametrize(
    "stated", ["HAND", "T SPINE", "THORACIC SPINE", "CHEST RIBS", "CHESTABDOMEN"]
)
def test_other_body_parts_keep_their_words(stated):
    assert body_part_of(stated, *NO_CODES) == stated


def test_a_lateral_said_beside_the_body_part():
    data = written(dataset(ramp(maximum=4095), BodyPartExamined="CHEST LAT", ViewPosition=""))
    radiograph = read_radiograph(data)
    assert (radiograph.projection, radiograph.body_part) == ("LATERAL", "CHEST")
