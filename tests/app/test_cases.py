"""What the session makes of files that are dropped; without a page."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from app.session import cases
from pipeline.io.radiograph import Radiograph
from tests.fuzz.hostile.seeds import saved


@pytest.fixture
def session(monkeypatch) -> dict:
    state = {}
    monkeypatch.setattr(cases.st, "session_state", state)
    return state


def dropped(name: str, data: bytes) -> SimpleNamespace:
    return SimpleNamespace(name=name, getvalue=lambda: data)


def test_every_bad_file_has_its_sentence_also_of_one_name(session):
    """The folders of a CD hold files of one name."""
    cases.take_uploads([dropped("IM0001", b""), dropped("IM0001", b"text")])
    assert [(n, m.code) for n, m in cases.refused()] == [
        ("IM0001", "empty"),
        ("IM0001", "not_an_image"),
    ]
    cases.take_uploads([])
    assert cases.refused() == []


def test_a_repair_keeps_the_hash_of_the_file(session):
    film = np.tile(np.arange(128, dtype=np.uint8), (64, 1))
    cases.take_uploads([dropped("film.png", saved(Image.fromarray(film), "PNG"))])
    came = cases.selected_case()
    cases.repair(came, "turned_left")
    cases.repair(cases.selected_case(), "inverted")
    right = cases.selected_case().radiograph
    assert right.sha256 == came.radiograph.sha256
    assert right.repairs == ("turned_left", "inverted")
    np.testing.assert_array_equal(right.pixels, 255 - np.rot90(film, -1))
    assert len(cases.cases()) == 3


@pytest.mark.parametrize(("side", "kept"), [(4000, ["2", "3", "4"]), (9000, ["3", "4"])])
def test_a_session_keeps_so_much_and_lets_the_oldest_go(session, side, kept):
    """SECURITY.md: "A session keeps 256 MB of images, or the last two if these are larger"."""
    pixels = np.broadcast_to(np.float32(0), (side, side))
    for name in "01234":
        cases.open_case(cases.Case(name, "upload", Radiograph(pixels, name * 64, "PNG")))
    assert [case.name for case in cases.cases().values()] == kept
