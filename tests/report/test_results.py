"""The objects that go to an archive: the same twice, named in the reader's language."""

import io
import zipfile
from dataclasses import replace

import pydicom
import pytest

from app.session.language import catalogue
from pipeline.io.radiograph import read_radiograph
from pipeline.models import registry
from pipeline.report.dicom.results import result_objects, results_zip, series_names
from tests.report.test_report import answer_on
from tests.report.test_report_dicom import source


@pytest.fixture(scope="module")
def case(films):
    film, lungs = films["opacities"]
    # A film whose maker drew its UIDs as highdicom does keeps them.
    series = pydicom.uid.generate_uid("1.2.826.0.1.3680043.10.511.3.")
    data = source(film[:500, :420], SeriesInstanceUID=series)
    return data, answer_on(read_radiograph(data), lungs[:500, :420])


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
    archive = zipfile.ZipFile(io.BytesIO(results_zip(data, [diagnosis, other], str)))
    names = [f"{m}/{name}" for m in ("light", "xception") for name in series_names(m, str)]
    assert sorted(archive.namelist()) == sorted(names)
    assert archive.testzip() is None
