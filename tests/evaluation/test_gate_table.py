"""The table of what passes, and the pictures that it is measured on."""

import gzip
import json
import plistlib
import struct
import tarfile
from collections import Counter

import cv2
import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from pipeline.cli.main import main
from pipeline.data import negatives
from pipeline.data.database import read_database
from pipeline.data.drawn_pictures import GROUPS, PER_GROUP, draw_pictures, turned_images
from pipeline.data.gate_examples import deal
from pipeline.data.negatives import Picture, Source, collect, fetch, read_pictures
from pipeline.evaluation import gate
from pipeline.models import registry
from pipeline.release import measurements
from tests.drawn import make_database


def picture(kind: str, group: str) -> Picture:
    return Picture(kind, group, np.zeros((64, 64), np.float32))


def test_no_group_is_on_both_sides_and_half_or_more_is_measured():
    pictures = draw_pictures() + [picture("CT", g) for g in "aaaaabbc"] + [picture("MR", "a")]
    choosing, measuring = deal(pictures)
    assert len(choosing) + len(measuring) == len(pictures)
    sides = [{(p.kind, p.group) for p in half} for half in (choosing, measuring)]
    assert not sides[0] & sides[1]
    for kind in {p.kind for p in pictures}:
        counts = [sum(p.kind == kind for p in half) for half in (choosing, measuring)]
        assert counts[0] <= counts[1]
    assert [p.group for p in choosing] == [p.group for p in deal(pictures)[0]]


def test_drawn_pictures_are_seeded_and_in_range():
    pictures = draw_pictures()
    assert len(pictures) == PER_GROUP * len(GROUPS)
    for one, same in zip(pictures, draw_pictures(), strict=True):
        np.testing.assert_array_equal(one.pixels, same.pixels)
        assert one.pixels.dtype == np.float32
        assert one.pixels.min() >= 0
        assert one.pixels.max() <= 255


def test_turned_images_can_be_turned_back(films):
    image = films["clear"][0].astype(np.float32)
    made = {p.expected: p.pixels for p in turned_images(image)}
    np.testing.assert_array_equal(255 - made["inverted"], image)
    np.testing.assert_array_equal(np.rot90(made["turned_left"], -1), image)
    np.testing.assert_array_equal(np.rot90(made["turned_right"]), image)
    np.testing.assert_array_equal(np.rot90(made["upside_down"], 2), image)


def test_reading_of_volumes(tmp_path):
    rng = np.random.default_rng(0)
    volume = rng.integers(-1000, 1000, (70, 80, 90)).astype(np.int16)
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, 90, 80, 70, 1, 1, 1, 1)
    struct.pack_into("<h", header, 70, 4)
    struct.pack_into("<f", header, 108, 352)
    path = tmp_path / "v.nii.gz"
    path.write_bytes(gzip.compress(bytes(header) + volume.tobytes()))
    np.testing.assert_array_equal(negatives.read_nifti(path), volume[::-1, ::-1])
    assert len(list(read_pictures(path))) == 3 * negatives.SLICES

    about = {"matrix": {"filename": "m.dat", "dtype": "int16", "shape": [70, 80, 90]}}
    (tmp_path / "main.plist").write_bytes(plistlib.dumps(about | {"spacing": [1.0, 1.0, 2.0]}))
    (tmp_path / "m.dat").write_bytes(volume.tobytes())
    with tarfile.open(tmp_path / "v.inv3", "w:gz") as archive:
        for name in ("main.plist", "m.dat"):
            archive.add(tmp_path / name, f"x/{name}")
    images = list(negatives.project_volume(tmp_path / "v.inv3"))
    assert len(images) == 12
    assert images[0].shape == (140, 90), "voxels twice as high as wide"


def test_what_cannot_be_had_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(negatives, "PACKAGES", {"x": ("deb", "x"), "sklearn": ("here", "sklearn")})
    sources = (
        Source("CT", "a", "x", ("*.png",)),
        Source("photograph", "b", "sklearn", ("**/china.jpg",)),
    )
    monkeypatch.setattr(negatives, "SOURCES", sources)
    pictures, missing = collect(tmp_path)
    assert missing == ["x"]
    assert [p.kind for p in pictures] == ["photograph"]
    assert pictures[0].pixels.shape == (342, 512)

    def no_network(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(negatives.subprocess, "run", no_network)
    assert fetch(tmp_path) == ["x"]
    (tmp_path / "x").mkdir()
    with pytest.raises(FileNotFoundError, match="holds none of"):
        collect(tmp_path)


@pytest.fixture
def few_pictures(monkeypatch):
    monkeypatch.setattr(gate, "draw_pictures", lambda: draw_pictures()[::9])
    monkeypatch.setattr(gate, "TURNED", 1)
    grey = np.tile(np.linspace(0, 255, 99, dtype=np.float32), (99, 1))
    monkeypatch.setattr(gate, "collect", lambda _: ([Picture("CT", "a", grey)], ["deid-data"]))


@pytest.mark.slow
def test_the_command_on_a_tiny_folder(tmp_path, films, few_pictures, monkeypatch):
    root = make_database(tmp_path / "data", films, per_class=2)
    monkeypatch.setattr(gate, "films_of", lambda data, _part: read_database(data))
    file = tmp_path / "gate.json"
    assert main(["evaluate", "--what", "gate", "--data", str(root), "--json", str(file)]) == 0
    result = json.loads(file.read_text())
    assert result["missing"] == ["deid-data"]
    rows = result["rows"]
    assert sum(row["refused"]["n"] for row in rows["films"].values()) == 8
    assert set(rows["turned"]) == {"inverted", "turned_left", "turned_right", "upside_down"}
    assert rows["cut"]["one lung"]["refused"]["n"] == 2
    assert rows["pictures"]["CT"]["refused"]["value"] == 1
    assert result["total"]["pictures"]["value"] == 1
    assert "CT" not in result["groups"]["chosen_with"]


def test_remembering_asks_once_for_an_image_and_its_turns(films):
    asked = Counter()

    class Finder:
        gate = None

        def look(self, films):
            asked["films"] += 1
            return films, films

    remembering = gate._Remembering(Finder())
    image = cv2.resize(films["clear"][0], (64, 64)).astype(np.float32)
    for _ in range(3):
        for turns in range(4):
            remembering.look(np.rot90(image, turns)[None].copy())
    assert asked["films"] == 4


def test_a_table_of_another_gate_is_not_shown(tmp_path):
    folder = registry.weights_folder()
    for name in ("registry.json", "gate.json"):
        (tmp_path / name).write_text((folder / name).read_text())
    assert measurements.measured_gate(tmp_path) is not None
    description = json.loads((tmp_path / "registry.json").read_text())
    description["gate"]["limits"]["area"][0] += 0.01
    (tmp_path / "registry.json").write_text(json.dumps(description))
    assert measurements.measured_gate(tmp_path) is None
    (tmp_path / "gate.json").unlink()
    assert measurements.measured_gate(tmp_path) is None


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_page_has_a_row_for_every_kind_of_picture():
    page = AppTest.from_file("../../app/main.py", default_timeout=60)
    page.session_state["language"] = "fr"
    page.run().switch_page("../pages/performance.py").run()
    assert not page.exception
    rows = measurements.measured_gate()["rows"]
    assert len(page.table[-1].value) == sum(len(table) for table in rows.values())
    assert "échographie" in set(page.table[-1].value["Type d’image"])
