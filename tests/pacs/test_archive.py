"""What becomes of a PACS's answers, good and bad; the PACS is a small server of our own."""

import base64
import json
import logging
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from pipeline.pacs.archive import MOST_FOUND, Archive, Criteria
from pipeline.pacs.credentials import Credentials, read_credentials
from pipeline.pacs.found import found_image
from pipeline.pacs.transport import PacsError
from pipeline.serving import budget
from pipeline.serving.settings import Settings, check_settings
from tests.pacs.fake_pacs import fake_pacs, send, send_json, send_parts
from tests.report.test_report_dicom import source

PATIENT = "P4711"
FILM = source(np.zeros((64, 64)))
KNOWN = {
    "0020000D": {"vr": "UI", "Value": ["1.2"]},
    "0020000E": {"vr": "UI", "Value": ["1.2.3"]},
    "00080018": {"vr": "UI", "Value": ["1.2.3.4"]},
    "00080020": {"vr": "DA", "Value": ["20260309"]},
    "00080060": {"vr": "CS", "Value": ["DX"]},
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane"}]},
    "00100020": {"vr": "LO", "Value": [PATIENT]},
    "00185101": {"vr": "CS", "Value": ["PA"]},
    "00280010": {"vr": "US", "Value": [500]},
}


@pytest.fixture
def pacs():
    with fake_pacs() as found:
        yield found


@pytest.fixture
def archive(pacs) -> Archive:
    return Archive(pacs[1], seconds=20)


@pytest.fixture
def image():
    return found_image(KNOWN)


def read(archive: Archive, image) -> bytes:
    with archive.image(image, "me") as data:
        return data


def test_a_search_asks_for_every_modality_and_lists_the_latest_first(pacs, archive):
    fake, _address = pacs

    def answer(handler):
        if "Modality=DX" in handler.path:
            later = KNOWN | {"00080018": {"Value": ["9.9"]}, "00080020": {"Value": ["20260401"]}}
            send_json(handler, [KNOWN, later])
        else:
            send(handler, b"", "application/dicom+json", 204)

    fake.answer = answer
    criteria = Criteria(date(2026, 3, 1), None, accession=" A8 ", patient_id=PATIENT)
    found, more = archive.search(criteria)
    assert [image.instance for image in found] == ["9.9", "1.2.3.4"]
    assert not more
    assert {query["Modality"][0] for *_, query, _headers in fake.asked} == {"CR", "DX", "RG"}
    _method, path, query, headers = fake.asked[0]
    assert path == "/dicom-web/instances"
    assert query["StudyDate"] == ["20260301-"] and query["AccessionNumber"] == ["A8"]
    assert query["PatientID"] == [PATIENT] and query["limit"] == [str(MOST_FOUND + 1)]
    assert headers["host"].startswith("127.0.0.1:")


def test_what_was_found_says_what_it_shows_and_its_text_names_nobody(image):
    assert (image.projection, image.rows, image.columns) == ("PA", 500, None)
    assert image.patient_name == "Doe^Jane" and image.day == "2026-03-09"
    assert image.may_be_frontal_chest
    for said in (repr(image), image.name, repr(Criteria(patient_id=PATIENT))):
        assert PATIENT not in said and "Doe" not in said and "1.2.3.4" not in said


@pytest.mark.parametrize("tag, value", [("00185101", "LL"), ("00180015", "HAND")])
def test_what_says_that_it_is_no_frontal_chest_is_told_apart(tag, value):
    assert not found_image(KNOWN | {tag: {"Value": [value]}}).may_be_frontal_chest


@pytest.mark.parametrize("uid", ["", "../../system", None, {"a": 1}, ["1.2"]])
def test_a_result_without_a_proper_uid_is_left_out(uid):
    assert found_image(KNOWN | {"00080018": {"Value": [uid]}}) is None


def test_more_results_than_are_listed_are_said(pacs, archive):
    many = [KNOWN | {"00080018": {"Value": [f"1.{i}"]}} for i in range(MOST_FOUND + 1)]
    pacs[0].answer = lambda handler: send_json(handler, many)
    found, more = archive.search(Criteria(modalities=("DX",)))
    assert (len(found), more) == (MOST_FOUND, True)


def test_an_image_comes_as_it_is_stored_and_its_place_is_given_back(pacs, archive, image):
    data = FILM
    pacs[0].answer = lambda handler: send_parts(handler, data)
    before = budget.bodies().used
    with archive.image(image, "me") as came:
        assert came == data
        assert budget.bodies().used == before + len(data)
    assert budget.bodies().used == before
    _method, path, _query, headers = pacs[0].asked[0]
    assert path == "/dicom-web/studies/1.2/series/1.2.3/instances/1.2.3.4"
    assert "transfer-syntax=*" in headers["accept"]


def test_an_image_may_come_without_an_envelope(pacs, archive, image):
    pacs[0].answer = lambda handler: send(handler, b"DICM", "application/dicom")
    assert read(archive, image) == b"DICM"


def test_results_are_sent_and_a_refusal_is_told(pacs, archive):
    data = FILM
    taken = {"00081199": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2.3.4"]}}]}}
    pacs[0].answer = lambda handler: send_json(handler, taken)
    archive.store([data])
    assert b"1.2.3.4" in pacs[0].bodies[0]
    with pytest.raises(PacsError, match="did not accept 1 of 2 results"):
        archive.store([data, data])
    refused = {"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [272]}}]}}
    pacs[0].answer = lambda handler: send_json(handler, refused, 202)
    with pytest.raises(PacsError, match="did not accept 1 of 1"):
        archive.store([data])


def _drop(handler) -> None:
    handler.connection.close()


BAD = {
    "pacs_denied": lambda handler: send_json(handler, {}, 401),
    "pacs_status": lambda handler: send_json(handler, {"error": PATIENT}, 500),
    "pacs_missing": lambda handler: send_json(handler, {}, 404),
    "pacs_answer": lambda handler: send(handler, b"<html>" + PATIENT.encode(), "text/html"),
    "pacs_cut": lambda handler: send(handler, b"[", "application/dicom+json", length=500),
    "pacs_unreachable": _drop,
}


WAYS = ("search", "image", "store")
# A store that is answered by 200 has stored.
PAIRS = [(way, code) for way in WAYS for code in BAD if way in WAYS[:2] or code != "pacs_answer"]


@pytest.mark.parametrize("what, code", PAIRS)
def test_every_failure_is_a_sentence_without_a_patient(pacs, archive, image, code, what, caplog):
    caplog.set_level(logging.DEBUG, "pipeline")
    pacs[0].answer = BAD[code]
    ways = {
        "search": lambda: archive.search(Criteria(patient_id=PATIENT)),
        "image": lambda: read(archive, image),
        "store": lambda: archive.store([FILM]),
    }
    with pytest.raises(PacsError) as caught:
        ways[what]()
    assert caught.value.message.code == code
    error = caught.value
    assert error.__cause__ is None
    assert PATIENT not in str(error) + caplog.text
    assert "http://" not in str(error)


def test_pictures_that_do_not_come_are_left_out(pacs, archive, image):
    others = [replace(image, instance=f"1.{i}") for i in range(3)]

    def answer(handler):
        if "/instances/1.1/" in handler.path:
            send_json(handler, {}, 500)
        elif "/instances/1.2/" in handler.path:
            send_json(handler, {}, 401)
        else:
            send(handler, b"JPEG", "image/jpeg")

    pacs[0].answer = answer
    assert archive.thumbnails([*others[:2], image, others[2], others[0]]) == {
        "1.0": b"JPEG",
        "1.2.3.4": b"JPEG",
    }


@pytest.mark.parametrize(
    "answer",
    [
        lambda handler: send_json(handler, "text"),
        lambda handler: send_json(handler, [["list"]]),
        lambda handler: send(handler, b"[" * 100_000, "application/dicom+json"),
        lambda handler: send(handler, b"\xff\xfe{", "application/dicom+json"),
    ],
)
def test_garbage_in_a_list_is_a_sentence(pacs, archive, answer):
    pacs[0].answer = answer
    with pytest.raises(PacsError) as caught:
        archive.search(Criteria(modalities=("DX",)))
    assert caught.value.message.code == "pacs_answer"


@pytest.mark.parametrize(
    "answer, code",
    [
        (lambda handler: send_parts(handler, b"half of an im", closed=False), "pacs_cut"),
        (lambda handler: send_parts(handler, b"one", b"two"), "pacs_answer"),
        (lambda handler: send(handler, b"", "multipart/related"), "pacs_answer"),
    ],
)
def test_half_a_multipart_is_no_image(pacs, archive, image, answer, code):
    pacs[0].answer = answer
    with pytest.raises(PacsError) as caught:
        read(archive, image)
    assert caught.value.message.code == code


def test_a_pacs_that_says_nothing_or_drips_is_given_up(pacs, image):
    fake, address = pacs

    def drips(handler):
        handler.send_response(200)
        handler.send_header("Content-Type", "application/dicom+json")
        handler.end_headers()
        while not fake.released.wait(0.1):
            handler.wfile.write(b" ")

    def drips_headers(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not fake.released.wait(0.1):
            handler.wfile.write(b"X-More: 1\r\n")

    for answer in (lambda handler: fake.released.wait(60), drips, drips_headers):
        fake.answer = answer
        with pytest.raises(PacsError) as caught:
            Archive(address, seconds=0.6).search(Criteria(modalities=("DX",)))
        assert caught.value.message.code in ("pacs_slow", "pacs_unreachable")


def test_nobody_listens():
    with fake_pacs() as (_fake, address):
        pass
    with pytest.raises(PacsError, match="cannot be reached"):
        Archive(address).search(Criteria())


def test_what_is_too_large_is_refused_before_it_has_come(pacs, archive, image):
    pacs[0].answer = lambda handler: send(handler, b"x", "application/dicom", length=10**9)
    with pytest.raises(PacsError, match="more than 100 MB"):
        read(archive, image)
    pacs[0].answer = lambda handler: send(handler, b" " * 21_000_000, "application/dicom+json")
    with pytest.raises(PacsError, match="more than 20 MB"):
        archive.search(Criteria(modalities=("DX",)))


def test_no_redirect_is_followed(pacs, archive):
    def elsewhere(handler):
        handler.send_response(302)
        handler.send_header("Location", "http://127.0.0.1:1/")
        handler.end_headers()

    pacs[0].answer = elsewhere
    with pytest.raises(PacsError, match="status 302"):
        archive.search(Criteria())
    assert len(pacs[0].asked) == 1


def test_a_user_signs_in_with_a_password(pacs):
    pacs[0].answer = lambda handler: send_json(handler, [])
    Archive(pacs[1], Credentials("zoë", "secret")).search(Criteria())
    sent = pacs[0].asked[0][3]["authorization"].removeprefix("Basic ")
    assert base64.b64decode(sent).decode() == "zoë:secret"


def test_a_client_asks_for_a_token_once_and_anew_after_a_refusal(pacs):
    fake, address = pacs

    def answer(handler):
        if handler.path.endswith("/token"):
            send_json(handler, {"access_token": f"T{len(fake.bodies)}", "expires_in": 300})
        else:
            good = handler.headers["Authorization"] == "Bearer T2"
            send_json(handler, [], 200 if good or len(fake.asked) < 6 else 401)

    fake.answer = answer
    archive = Archive(address, Credentials("me", "secret", address + "/token"))
    archive.search(Criteria())
    assert len(fake.bodies) == 1 and b"client_credentials" in fake.bodies[0]
    with pytest.raises(PacsError, match="refused this server"):
        archive.search(Criteria())
    archive.search(Criteria())
    assert len(fake.bodies) == 2


def test_credentials_come_from_the_environment_or_a_file(tmp_path):
    assert read_credentials(Settings(pacs_user="u", pacs_password="p")) == Credentials("u", "p")
    file = tmp_path / "secrets.toml"
    file.write_text('[pacs]\nuser = "a"\npassword = "b"\ntoken = "https://c"\n')
    assert read_credentials(Settings(pacs_secrets=str(file))) == Credentials("a", "b", "https://c")
    for text in ("[other]", "[pacs]\nname = 1", "pacs = 1", "\0"):
        file.write_text(text)
        with pytest.raises(PacsError, match="PULMOSCOPE_PACS_SECRETS"):
            read_credentials(Settings(pacs_secrets=str(file)))
    assert "hidden" not in repr(Settings(pacs_password="hidden")) + repr(Credentials("u", "hidden"))


@pytest.mark.parametrize(
    "address, why",
    [
        ("http://pacs.example/dicom-web", "unencrypted"),
        ("http://10.0.0.7:8042", "unencrypted"),
        ("http://[fd00::1]/", "unencrypted"),
        ("pacs.example", "no address"),
        ("https://user:secret@pacs.example", "no address"),
    ],
)
def test_an_address_that_would_send_names_in_the_clear_stops_the_start(address, why):
    with pytest.raises(ValueError, match=why) as caught:
        check_settings({"PULMOSCOPE_PACS": address})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["https://pacs.example/x", "http://127.0.0.1:8042", "http://orthanc:8042/dicom-web"]
)
def test_an_address_over_tls_or_within_the_machine_starts(address):
    assert check_settings({"PULMOSCOPE_PACS": address}).pacs == address


def test_json_of_a_search_is_not_needed_to_be_a_list(pacs, archive):
    pacs[0].answer = lambda handler: send(handler, json.dumps(KNOWN).encode(), "application/json")
    found, _more = archive.search(Criteria(modalities=("DX",)))
    assert [image.instance for image in found] == ["1.2.3.4"]
