"""DICOM objects of a case: what they say, what they lie over, what validators say of them."""

import io
import os
import shutil
import subprocess
import warnings
from dataclasses import replace

import cv2
import highdicom
import numpy as np
import pydicom
import pytest
from highdicom.sr import MeasurementReport
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless

from pipeline.inference.diagnosis import Diagnosis
from pipeline.io.orientation import REPAIRS, repaired
from pipeline.io.radiograph import read_radiograph
from pipeline.report.dicom.objects import NotExportable, dicom_objects
from pipeline.report.dicom.source import read_source
from pipeline.report.pdf import case_pdf
from pipeline.report.record import case_json
from tests.report.test_report import WHEN, WITHHELD, answer_on, page_text

NAMES = ("lungs.seg.dcm", "heatmap.pm.dcm", "heatmap.sc.dcm", "score.sr.dcm")


def source(film: np.ndarray, **tags) -> bytes:
    """A DX film of 12 bits, higher than wide."""
    dataset = pydicom.Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    dataset.SOPInstanceUID, dataset.SeriesInstanceUID = "1.2.3.4", "1.2.3"
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.StudyInstanceUID, dataset.StudyID, dataset.AccessionNumber = "1.2", "S7", "A8"
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.PatientName, dataset.PatientID, dataset.PatientSex = "Müller^Zoë", "P9", "F"
    dataset.PatientBirthDate, dataset.StudyDate, dataset.StudyTime = "19500101", "20260309", "1405"
    dataset.ReferringPhysicianName = ""
    dataset.Modality, dataset.PhotometricInterpretation = "DX", "MONOCHROME2"
    dataset.PatientOrientation = ["L", "F"]
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.Rows, dataset.Columns = film.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelData = (film.astype("<u2") * 16).tobytes()
    for name, value in tags.items():
        setattr(dataset, name, value)
        if value is None:
            delattr(dataset, name)
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def film_and_lungs(films) -> tuple[np.ndarray, np.ndarray]:
    """Cut unevenly, so that a turn or a mirror is seen."""
    film, lungs = films["opacities"]
    return film[:500, :420], lungs[:500, :420]


def read_by_model(data: bytes, lungs: np.ndarray) -> Diagnosis:
    return answer_on(read_radiograph(data), lungs)


@pytest.fixture(scope="module")
def case(film_and_lungs) -> tuple[bytes, Diagnosis]:
    film, lungs = film_and_lungs
    data = source(film)
    return data, read_by_model(data, lungs)


def test_a_name_of_a_numeric_type_is_kept_where_it_can_be_read(film_and_lungs):
    film, lungs = film_and_lungs
    data = source(film).replace(b"\x10\x00\x10\x00PN", b"\x10\x00\x10\x00DS")
    for made in dicom_objects(data, read_by_model(data, lungs)).values():
        assert str(pydicom.dcmread(io.BytesIO(made)).PatientName) == "Müller^Zoë"


def test_a_name_that_cannot_be_read_is_a_sentence(film_and_lungs):
    """pydicom says what it cannot read as a number: the name."""
    film, lungs = film_and_lungs
    data = source(film).replace(b"\x10\x00\x10\x00PN", b"\x10\x00\x10\x00FD")
    with pytest.raises(NotExportable) as caught:
        dicom_objects(data, read_by_model(data, lungs))
    assert caught.value.message.code in ("dicom_identifier", "dicom_not_exportable")
    assert "Zo" not in str(caught.value)


@pytest.fixture(scope="module")
def files(case) -> dict[str, bytes]:
    return dicom_objects(*case)


@pytest.fixture(scope="module")
def objects(files) -> dict[str, pydicom.Dataset]:
    return {name: pydicom.dcmread(io.BytesIO(data)) for name, data in files.items()}


def report_of(data: bytes) -> MeasurementReport:
    return MeasurementReport.from_sequence(highdicom.sr.srread(io.BytesIO(data)).content)


def texts(data: bytes) -> list[str]:
    """Texts of the report's first group, those about the score."""
    group = report_of(data).get_image_measurement_groups()[0][0]
    return [str(i.value) for i in group.ContentSequence if i.value_type.value == "TEXT"]


def test_every_object_belongs_to_the_study(objects):
    assert tuple(objects) == NAMES
    for dataset in objects.values():
        assert (dataset.StudyInstanceUID, dataset.StudyID) == ("1.2", "S7")
        assert dataset.SeriesInstanceUID != "1.2.3"
        assert (str(dataset.PatientName), dataset.PatientID) == ("Müller^Zoë", "P9")
        assert (dataset.PatientSex, dataset.PatientBirthDate) == ("F", "19500101")
        assert dataset.AccessionNumber == "A8"
        assert "Not for diagnostic use" in dataset.SeriesDescription
    assert len({d.SOPInstanceUID for d in objects.values()}) == 4
    assert len({d.SeriesInstanceUID for d in objects.values()}) == 4


def test_every_object_refers_to_the_film(objects):
    for dataset in objects.values():
        found = [e.value for e in dataset.iterall() if e.keyword == "ReferencedSOPInstanceUID"]
        assert "1.2.3.4" in found


def test_lungs_lie_over_the_stored_pixels(case, files):
    segmentation = highdicom.seg.segread(io.BytesIO(files["lungs.seg.dcm"]))
    mask = segmentation.get_pixels_by_source_instance(["1.2.3.4"])[0, ..., 0]
    np.testing.assert_array_equal(mask * 255, case[1].lung_mask())
    described = segmentation.get_segment_description(1)
    assert described.segmented_property_type == highdicom.sr.CodedConcept("39607008", "SCT", "Lung")
    assert described.algorithm_type.value == "AUTOMATIC"
    assert case[1].unet_sha256 in described.algorithm_identification.parameters["weights_sha256"]


def test_the_map_is_raw_and_windowed_to_the_fixed_scale(case, objects):
    parametric_map = objects["heatmap.pm.dcm"]
    np.testing.assert_array_equal(parametric_map.pixel_array, case[1].heatmap())
    shared = parametric_map.SharedFunctionalGroupsSequence[0]
    assert float(shared.FrameVOILUTSequence[0].WindowWidth) == case[1].cam_scale["hirescam"]
    assert "PlanePositionSequence" not in shared


def test_the_overlay_is_labelled_below_the_film(objects):
    overlay = objects["heatmap.sc.dcm"]
    assert overlay.Columns == 420
    assert overlay.Rows > 500
    strip = overlay.pixel_array[500:]
    assert (strip > 200).any()
    assert list(overlay.PatientOrientation) == ["L", "F"]


def test_report_holds_the_score(case, files):
    report = report_of(files["score.sr.dcm"])
    (group,) = report.get_image_measurement_groups()
    values = {m.name.value: m.value for m in group.get_measurements()}
    assert values == {
        "covid-score": pytest.approx(case[1].score, abs=1e-6),
        "threshold": case[1].threshold,
    }
    (evaluation,) = group.get_qualitative_evaluations()
    assert evaluation.value.value == "at-or-above"
    (lungs,) = report.get_planar_roi_measurement_groups()
    area, *_sizes = lungs.get_measurements()
    assert area.value == pytest.approx(case[1].lung_area_fraction, abs=1e-6)
    segmentation = pydicom.dcmread(io.BytesIO(files["lungs.seg.dcm"]))
    reference = lungs.reference_type, lungs.referenced_segmentation_frame
    assert reference[1].referenced_sop_instance_uid == segmentation.SOPInstanceUID
    said = texts(files["score.sr.dcm"])
    assert f"weights_sha256={case[1].weights_sha256}" in said
    assert any("Not for diagnostic use" in text for text in said)


def test_a_withheld_score_is_in_no_object(case):
    data, diagnosis = case
    withheld = replace(diagnosis, verdict=WITHHELD)
    files = dicom_objects(data, withheld)
    assert tuple(files) == ("lungs.seg.dcm", "score.sr.dcm")
    (group,) = report_of(files["score.sr.dcm"]).get_image_measurement_groups()
    assert group.get_measurements() == []
    evaluation, *reasons = group.get_qualitative_evaluations()
    assert evaluation.value.value == "withheld"
    assert len(reasons) == len(WITHHELD.reasons)
    assert WITHHELD.reasons[0].sentence() in texts(files["score.sr.dcm"])
    assert b"0.867" not in files["score.sr.dcm"]
    segment = pydicom.dcmread(io.BytesIO(files["lungs.seg.dcm"])).SegmentSequence[0]
    assert "Not plausible" in segment.SegmentDescription


def test_no_lungs_no_segmentation(case):
    data, diagnosis = case
    nothing = np.zeros_like(diagnosis.answer.mask)
    answer = replace(diagnosis.answer, mask=nothing, mask_probability=nothing)
    files = dicom_objects(data, replace(diagnosis, answer=answer, verdict=WITHHELD))
    assert tuple(files) == ("score.sr.dcm",)
    assert report_of(files["score.sr.dcm"]).get_planar_roi_measurement_groups() == []


@pytest.mark.parametrize("code", REPAIRS)
def test_a_repaired_film_is_turned_back(case, film_and_lungs, code):
    """The reader turned the film; the archive's film still lies as it was stored."""
    data, diagnosis = case
    film = diagnosis.radiograph
    right = replace(film, pixels=repaired(film.pixels, (code,)), repairs=(code,))
    lungs = film_and_lungs[1]
    turned = lungs if code == "inverted" else repaired(lungs, (code,))
    files = dicom_objects(data, answer_on(right, turned))
    mask = pydicom.dcmread(io.BytesIO(files["lungs.seg.dcm"])).pixel_array
    np.testing.assert_array_equal(mask * 255, lungs)
    assert pydicom.dcmread(io.BytesIO(files["heatmap.pm.dcm"])).pixel_array.shape == lungs.shape
    assert f"film_repairs={code}" in texts(files["score.sr.dcm"])


def test_a_mask_of_a_mirrored_film_lies_over_its_pixels(film_and_lungs):
    """Patient Orientation R, F: the reader sees the usual side, the archive its own pixels."""
    film, lungs = film_and_lungs
    data = source(film[:, ::-1], PatientOrientation=["R", "F"])
    diagnosis = read_by_model(data, lungs)
    assert diagnosis.radiograph.repairs == ("mirrored",)
    mask = pydicom.dcmread(io.BytesIO(dicom_objects(data, diagnosis)["lungs.seg.dcm"])).pixel_array
    np.testing.assert_array_equal(mask * 255, lungs[:, ::-1])


@pytest.mark.parametrize(
    "tags",
    [
        {"AccessionNumber": "20240101-CXR-0012345"},
        {"PatientID": "P" * 65},
        {"StudyInstanceUID": "1.02.3"},
        {"StudyID": "S" * 17},
        {"PatientID": ["P1", "P2"]},
    ],
)
def test_an_identifier_is_kept_or_nothing_is_exported(film_and_lungs, tags):
    film, lungs = film_and_lungs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = source(film, **tags)
        ((keyword, value),) = tags.items()
        assert read_source(data).get(keyword) == value
    with pytest.raises(NotExportable, match="breaks the DICOM standard") as caught:
        dicom_objects(data, read_by_model(data, lungs))
    assert str(value) not in str(caught.value)


def test_monochrome1_is_shown_as_it_is_read(film_and_lungs):
    film, lungs = film_and_lungs
    negative = source(255 - film, PhotometricInterpretation="MONOCHROME1")
    files = dicom_objects(negative, read_by_model(negative, lungs))
    mask = pydicom.dcmread(io.BytesIO(files["lungs.seg.dcm"])).pixel_array
    np.testing.assert_array_equal(mask * 255, lungs)
    picture = pydicom.dcmread(io.BytesIO(files["heatmap.sc.dcm"])).pixel_array
    grey = cv2.cvtColor(picture[:500], cv2.COLOR_RGB2GRAY)
    assert np.corrcoef(grey.ravel(), film.ravel())[0, 1] > 0.8


def test_films_that_break_the_standard(film_and_lungs):
    """Impossible values are left out; identifiers stay as they are, odd or not."""
    film, lungs = film_and_lungs
    odd = {"PatientSex": None, "PatientBirthDate": None, "StudyID": None, "PatientName": None}
    with pytest.warns(UserWarning, match="Invalid value"):
        data = source(film, **odd)
        damaged = pydicom.dcmread(io.BytesIO(data))
        damaged.add(pydicom.DataElement("PatientSex", "CS", "X", validation_mode=0))
        damaged.add(pydicom.DataElement("StudyDate", "DA", "1993.02.24"))
        damaged.compress(JPEG2000Lossless, generate_instance_uid=False)
        buffer = io.BytesIO()
        damaged.save_as(buffer)
    data = buffer.getvalue()
    for file in dicom_objects(data, read_by_model(data, lungs)).values():
        dataset = pydicom.dcmread(io.BytesIO(file))
        assert (dataset.PatientSex or "", dataset.StudyDate or "") == ("", "")
        assert (dataset.StudyInstanceUID, dataset.PatientID) == ("1.2", "P9")


def test_frame_of_reference_is_the_films(film_and_lungs):
    film, lungs = film_and_lungs
    data = source(film, FrameOfReferenceUID="1.2.9", PositionReferenceIndicator="")
    files = dicom_objects(data, read_by_model(data, lungs))
    for name in ("lungs.seg.dcm", "heatmap.pm.dcm"):
        assert pydicom.dcmread(io.BytesIO(files[name])).FrameOfReferenceUID == "1.2.9"


def test_refusals(case, film_and_lungs, clear_png):
    film, lungs = film_and_lungs
    with pytest.raises(ValueError, match="pass the bytes that were read"):
        dicom_objects(source(film, StudyID="other"), case[1])
    picture = read_radiograph(clear_png)
    with pytest.raises(NotExportable, match="not a DICOM file"):
        dicom_objects(clear_png, answer_on(picture, np.zeros((512, 512), np.uint8)))
    nameless = source(film, StudyInstanceUID=None)
    with pytest.raises(NotExportable, match="would have nothing to refer to") as caught:
        dicom_objects(nameless, read_by_model(nameless, lungs))
    assert caught.value.message.code == "dicom_no_reference"
    private = source(film, SOPClassUID="1.2.3.999")
    with pytest.raises(NotExportable, match="does not conform"):
        dicom_objects(private, read_by_model(private, lungs))


def test_page_and_record_of_a_dicom_film_name_nobody(case):
    text = page_text(case_pdf([case[1]], str, "en", when=WHEN))
    record = case_json([case[1]], when=WHEN).decode()
    assert "DICOM, 500 × 420 pixels, 12 bits, MONOCHROME2" in text
    for secret in ("Müller", "Zoë", "P9", "A8", "1950", "1.2.3.4"):
        assert secret not in text
        assert secret not in record


# -- validators, where they are installed -----------------------------------------------------

# dciodvfy asks every parametric map for a plane in space, and for one on a slide as well; PS3.3
# table A.75-2 does so only where the frame of reference is that of a patient or of a slide.
PLANES = ("PlanePositionSequence", "PlaneOrientationSequence", "PlanePositionSlideSequence")


def missing(program: str) -> bool:
    """Whether a test may be left out; where there is continuous integration, none may."""
    return not (shutil.which(program) or os.environ.get("CI"))


def errors_in(files: dict[str, bytes], folder) -> list[str]:
    """What dciodvfy calls an error in any of these objects."""
    errors = []
    for name, data in files.items():
        path = folder / name
        path.write_bytes(data)
        said = subprocess.run(["dciodvfy", path], capture_output=True, check=False).stderr
        found = [line for line in said.decode().splitlines() if line.startswith("Error")]
        if name == "heatmap.pm.dcm":
            found = [line for line in found if not any(f"<{plane}>" in line for plane in PLANES)]
        errors += [f"{name}: {line}" for line in found]
    return errors


ODD = {
    "as it should be": {},
    "mirrored": {"PatientOrientation": ["R", "F"]},
    "bits stored higher up": {"BitsStored": 10, "HighBit": 11},
    "MONOCHROME1": {"PhotometricInterpretation": "MONOCHROME1"},
    "computed radiography": {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1",
        "Modality": "CR",
        "BodyPartExamined": "chest pa",
    },
    "scanned": {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7", "Modality": "RG"},
    "nobody's": dict.fromkeys(("AccessionNumber", "StudyID", "PatientID", "PatientName"), ""),
    "lossy": {
        "LossyImageCompression": "01",
        "LossyImageCompressionRatio": "10.5",
        "LossyImageCompressionMethod": "ISO_10918_1",
    },
    "in a frame of reference": {"FrameOfReferenceUID": "1.2.9", "PixelSpacing": ["0.1", "0.1"]},
    "values that are not allowed": {
        "PatientOrientation": ["X", "Y"],
        "BurnedInAnnotation": "MAYBE",
        "PatientIdentityRemoved": "maybe",
        "PatientSex": "f",
        "StudyDate": "2026.03.09",
        "StudyTime": "25:00",
        "PatientBirthDate": "19500",
        "StudyDescription": "d" * 80,
    },
    "a name in three scripts": {
        "SpecificCharacterSet": ["", "ISO 2022 IR 87"],
        "PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    },
}


@pytest.mark.skipif(missing("dciodvfy"), reason="dicom3tools is not installed")
@pytest.mark.parametrize("name", ODD)
def test_dciodvfy_finds_no_error(film_and_lungs, tmp_path, name):
    """In any object that is written of any film, however odd."""
    film, lungs = film_and_lungs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = source(film // 4 if "HighBit" in ODD[name] else film, **ODD[name])
    assert errors_in(dicom_objects(data, read_by_model(data, lungs)), tmp_path) == []


@pytest.mark.skipif(missing("dsrdump"), reason="dcmtk is not installed")
def test_dcmtk_reads_everything(files, tmp_path):
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        subprocess.run(["dcmdump", tmp_path / name], capture_output=True, check=True)
    dump = subprocess.run(["dsrdump", tmp_path / "score.sr.dcm"], capture_output=True, check=True)
    assert b"COVID score" in dump.stdout
    assert b"UNVERIFIED" in dump.stdout
    assert dump.stderr.count(b"\n") <= 1  # the character set alone is remarked on
