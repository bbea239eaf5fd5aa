"""The objects that go to an archive: the same twice, named in the reader's language."""

import io
import zipfile
from dataclasses import replace

import cv2
import numpy as np
import pydicom
import pytest

from app.session.language import catalogue
from pipeline.io.radiograph import read_radiograph
from pipeline.models import registry
from pipeline.report.dicom.results import result_objects, results_zip, series_names
from pipeline.report.verify import read_claims
from tests.drawn import two_ellipses
from tests.report.test_report import WITHHELD, answer_on
from tests.report.test_report_dicom import errors_in, missing, source


@pytest.fixture(scope="module")
def case():
    film, lungs = two_ellipses()
    # A film whose maker drew its UIDs as highdicom does keeps them.
    series = pydicom.uid.generate_uid("1.2.826.0.1.3680043.10.511.3.")
    spacing = {"ImagerPixelSpacing": [0.8, 0.9], "WindowCenter": "2000", "WindowWidth": "3000"}
    data = source(film, SeriesInstanceUID=series, **spacing)
    return data, answer_on(read_radiograph(data), lungs)


def read(files: dict[str, bytes]) -> dict[str, pydicom.Dataset]:
    return {name: pydicom.dcmread(io.BytesIO(data)) for name, data in files.items()}


def uids(one: pydicom.Dataset) -> list[str]:
    return [str(e.value) for e in one.iterall() if e.VR == "UI" and e.value]


def test_made_twice_they_have_the_same_uids_and_those_of_other_answers_differ(case):
    data, diagnosis = case
    first, again = (read(result_objects(data, diagnosis, str)) for _twice in range(2))
    assert {n: uids(one) for n, one in first.items()} == {n: uids(one) for n, one in again.items()}
    film = pydicom.dcmread(io.BytesIO(data))
    others = (replace(diagnosis, model="xception"), replace(diagnosis, threshold=0.123))
    for other in others:
        objects = read(result_objects(data, other, str))
        for name, one in objects.items():
            assert one.SOPInstanceUID != first[name].SOPInstanceUID
            assert one.StudyInstanceUID == film.StudyInstanceUID
    slower = replace(diagnosis, seconds=diagnosis.seconds + 1)
    objects = read(result_objects(data, slower, str))
    assert objects["score.sr.dcm"].SOPInstanceUID == first["score.sr.dcm"].SOPInstanceUID


def test_references_hold_after_the_uids_were_replaced(case):
    data, diagnosis = case
    objects = read(result_objects(data, diagnosis, str))
    lungs, score = objects["lungs.seg.dcm"], objects["score.sr.dcm"]
    film = pydicom.dcmread(io.BytesIO(data))
    assert {lungs.SOPInstanceUID, film.SOPInstanceUID, film.SeriesInstanceUID} < set(uids(score))
    for one in objects.values():
        assert one.file_meta.MediaStorageSOPInstanceUID == one.SOPInstanceUID
    assert len({one.SeriesInstanceUID for one in objects.values()}) == len(objects)


@pytest.mark.parametrize("language", ["en", "fr"])
def test_series_are_named_in_the_reader_s_language_within_64_characters(case, language):
    data, diagnosis = case
    words = catalogue(language)
    warning = {"en": "Not for diagnostic use", "fr": "Non destiné au diagnostic"}[language]
    for one in read(result_objects(data, diagnosis, lambda t: words.get(t, t))).values():
        assert one.SeriesDescription.endswith(warning)
    for model in registry.classifiers(installed=False):
        names = series_names(model, lambda t: words.get(t, t)).values()
        assert all(name.endswith(warning) and len(name) <= 64 for name in names)


def test_zip_has_a_folder_per_model(case):
    data, diagnosis = case
    other = replace(diagnosis, model="xception")
    archive = zipfile.ZipFile(io.BytesIO(results_zip(data, [diagnosis, other], str, "en")))
    names = [f"{m}/{name}" for m in ("light", "xception") for name in series_names(m, str)]
    assert sorted(archive.namelist()) == sorted(names)
    assert archive.testzip() is None


def test_the_outline_lies_over_the_lungs_as_they_are_stored(case):
    _data, diagnosis = case
    film, lungs = two_ellipses()
    mirrored = source(film, PatientOrientation=["R", "F"])
    for data, stored in ((case[0], lungs), (mirrored, lungs)):
        answer = answer_on(read_radiograph(data), lungs if data is case[0] else lungs[:, ::-1])
        state = read(result_objects(data, answer))["lungs.pr.dcm"]
        (annotation,) = state.GraphicAnnotationSequence
        drawn = np.zeros(stored.shape, np.uint8)
        for line in annotation.GraphicObjectSequence:
            points = np.array(line.GraphicData).reshape(-1, 2)
            np.testing.assert_array_equal(points[0], points[-1])
            cv2.fillPoly(drawn, [np.rint(points - 0.5).astype(np.int32)], 255)
        assert (drawn != stored).mean() < 0.005
    assert diagnosis.radiograph.repairs == ()


def test_the_film_s_own_window_goes_with_the_outline(case):
    (voi,) = read(result_objects(*case))["lungs.pr.dcm"].SoftcopyVOILUTSequence
    assert (voi.WindowCenter, voi.WindowWidth) == (2000, 3000)


def test_the_page_is_a_pdf_in_the_film_s_study_with_its_record(case):
    page = read(result_objects(*case))["page.pdf.dcm"]
    assert (page.StudyInstanceUID, page.PatientID, page.Modality) == ("1.2", "P9", "DOC")
    pdf = page.EncapsulatedDocument[: page.EncapsulatedDocumentLength]
    claim, *others = read_claims(pdf)
    assert claim.sha256 == case[1].radiograph.sha256 and not others
    french = read(result_objects(*case, str, "fr"))
    assert french["page.pdf.dcm"].SOPInstanceUID != page.SOPInstanceUID


def test_the_report_measures_either_lung_and_says_coded_why_there_is_no_score(case):
    data, diagnosis = case
    report = str(read(result_objects(data, diagnosis))["score.sr.dcm"])
    for code in ("lung-height", "3341006", "44029006", "ctr-of-lungs", "126200"):
        assert code in report
    withheld = str(read(result_objects(data, replace(diagnosis, verdict=WITHHELD)))["score.sr.dcm"])
    for reason in WITHHELD.reasons:
        assert f"SH: '{reason.code}'" in withheld


@pytest.mark.skipif(missing("dciodvfy"), reason="dicom3tools is not installed")
def test_dciodvfy_finds_no_error(case, tmp_path):
    assert errors_in(result_objects(*case), tmp_path) == []
