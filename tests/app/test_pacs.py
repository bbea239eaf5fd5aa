"""Who is shown the page From the PACS, and which of a patient's images are compared."""

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit import config
from streamlit.testing.v1 import AppTest

from app.session import pacs
from pipeline.pacs import archive as module
from pipeline.pacs.found import FoundImage
from pipeline.serving import queue

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def settings(monkeypatch):
    """A server with a PACS, bound to an address."""

    def bind(address: str | None, **variables: str) -> None:
        monkeypatch.setattr(config, "get_option", lambda name: address)
        monkeypatch.setenv("PULMOSCOPE_PACS", "https://pacs.example/dicom-web")
        for name, value in variables.items():
            monkeypatch.setenv(f"PULMOSCOPE_{name}", value)

    return bind


@pytest.mark.parametrize("address, shown", [("127.0.0.1", True), (None, False), ("0.0.0.0", False)])
def test_patients_are_listed_on_this_machine_alone(settings, address, shown):
    settings(address)
    assert pacs.may_be_shown() is shown


def test_or_where_signing_in_is_on(settings):
    settings(None, SIGN_IN="1")
    assert pacs.may_be_shown()


def test_but_not_to_whom_a_proxy_brings(settings):
    settings("127.0.0.1", PROXIES="127.0.0.1")
    assert not pacs.may_be_shown()


@pytest.fixture
def loading():
    """The first page begins to load a model: Python must not go from under TensorFlow."""
    yield
    queue.service().models.wait(120)


@pytest.mark.usefixtures("loading")
def test_without_a_pacs_there_is_no_such_page(monkeypatch):
    monkeypatch.delenv("PULMOSCOPE_PACS", raising=False)
    page = AppTest.from_file(str(ROOT / "app/main.py"), default_timeout=120).run()
    with pytest.raises(ValueError):
        page.switch_page("../pages/pacs.py").run()


@pytest.mark.usefixtures("loading")
def test_where_it_may_not_be_shown_the_page_says_why(monkeypatch):
    monkeypatch.setenv("PULMOSCOPE_PACS", "https://pacs.example/dicom-web")
    page = AppTest.from_file(str(ROOT / "app/main.py"), default_timeout=120).run()
    page.switch_page("../pages/pacs.py").run()
    assert not page.exception
    assert "signing in is on" in page.info[0].value
    assert not page.text_input


class OnePatient:
    """A PACS that holds these images."""

    def __init__(self, *images: FoundImage):
        self.images, self.brought = list(images), []

    def search(self, criteria):
        return self.images, False

    @contextmanager
    def image(self, image, party):
        self.brought.append(image.date)
        yield image.date.encode()


def image(day: str, **more) -> FoundImage:
    return FoundImage("1.2", "1.3", f"1.4.{day}", day, patient_id="P", **more)


@pytest.fixture
def bring(monkeypatch):
    """`open_with_priors` over a PACS with these images; cases are named for their days."""

    def opened(wanted: FoundImage, *others: FoundImage):
        one = OnePatient(wanted, *others)
        monkeypatch.setattr(pacs, "archive", lambda: one)
        monkeypatch.setattr(pacs.cases, "party", lambda: "me")
        monkeypatch.setattr(pacs.cases, "open_case", lambda case: None)

        def read(name, origin, data):
            film = type("Film", (), {"key": data.decode()})
            return type("Case", (), {"radiograph": film})

        monkeypatch.setattr(pacs.cases, "read_case", read)
        return pacs.open_with_priors(wanted), one.brought

    return opened


def test_the_latest_image_before_is_compared_and_all_come_in_the_order_of_their_dates(bring):
    days = [image(f"2026030{i}") for i in (9, 1, 5, 3, 7)]
    compared, brought = bring(days[0], *days[1:])
    assert compared == ("20260307", "20260309")
    assert brought == ["20260303", "20260305", "20260307", "20260309"]


def test_without_one_before_the_next_one_is(bring):
    assert bring(image("20260301"), image("20260305"))[0] == ("20260301", "20260305")


def test_another_patient_s_image_and_a_lateral_one_are_not_compared(bring):
    wanted = image("20260309")
    others = (
        replace(image("20260301"), patient_id="p"),
        replace(image("20260302"), issuer="ELSEWHERE"),
        image("20260303", projection="LATERAL"),
    )
    assert bring(wanted, *others) == (None, [])


def test_an_archive_is_made_of_what_the_environment_says(monkeypatch):
    monkeypatch.setenv("PULMOSCOPE_PACS", "https://pacs.example/dicom-web/")
    monkeypatch.setenv("PULMOSCOPE_PACS_USER", "reader")
    module.archive.cache_clear()
    try:
        assert module.archive()._address == "https://pacs.example/dicom-web"
    finally:
        module.archive.cache_clear()
