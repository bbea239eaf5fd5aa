"""A diagnosis as DICOM objects that go to the archive beside the film.

The film's own bytes are needed again: a `Radiograph` holds no identity, and these objects must name
the patient and the study that they belong to (see `pipeline.report.dicom.source`). Who exports
them sends that identity on, to where the film came from.

A projection has no position in space, so mask and map lie over the film pixel by pixel, in the
order in which the file stores its pixels; they carry the film's frame of reference if it has one.
"""

import hashlib
import io
import warnings
from copy import copy

import cv2
import highdicom
import numpy as np
from highdicom.pm import ParametricMap, RealWorldValueMapping
from highdicom.sc import SCImage
from highdicom.seg import Segmentation, SegmentDescription
from pydicom import Dataset
from pydicom.sr.codedict import codes

from pipeline.explain.gradcam import METHODS
from pipeline.explain.overlay import overlay_heatmap, shrink
from pipeline.inference.diagnosis import Diagnosis
from pipeline.io.orientation import as_stored
from pipeline.report.dicom.score_report import score_report
from pipeline.report.dicom.source import NotExportable, check_identifiers, read_source

WARNING = "Not for diagnostic use"
OVERLAY_SIDE = 1024
SERIES_NUMBER = 9100  # far above those that modalities give; the four objects count on from here


def dicom_objects(source: bytes, diagnosis: Diagnosis) -> dict[str, bytes]:
    """The lungs, the heatmap and the score of one answer, each a DICOM file.

    ``source``: the bytes that were read. Returns by file name:
    ``lungs.seg.dcm``, a binary segmentation; ``heatmap.pm.dcm``, a parametric map of the raw values
    and ``heatmap.sc.dcm``, a picture of it over the film; ``score.sr.dcm``, a measurement report.
    Without lungs there is no segmentation. When the score is withheld there is no heatmap, and the
    report gives the reasons instead of a score.

    Raises ValueError when the diagnosis is of another file, NotExportable when the film is no
    DICOM file or names no study to refer to.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # films break many a rule that nothing here rests on
        _check_source(source, diagnosis)
        try:
            header = read_source(source)
            check_identifiers(header)
            objects = _objects(header, diagnosis)
            return {name: _written(dataset) for name, dataset in objects.items()}
        except NotExportable:
            raise
        except Exception as error:  # the text of the error may hold identity tags
            raise NotExportable("dicom_not_exportable") from error


def _check_source(source: bytes, diagnosis: Diagnosis) -> None:
    read, given = diagnosis.radiograph.sha256, hashlib.sha256(source).hexdigest()
    if read != given:
        raise ValueError(
            f"the diagnosis is of a file with sha256 {read}, these bytes have {given}: pass the "
            "bytes that were read."
        )
    if diagnosis.radiograph.format != "DICOM":
        raise NotExportable("dicom_only")


def _objects(header: Dataset, diagnosis: Diagnosis) -> dict[str, Dataset]:
    objects: dict[str, Dataset] = {}
    lungs = as_stored(diagnosis.lung_mask(), diagnosis.radiograph.repairs) > 0
    if lungs.any():
        objects["lungs.seg.dcm"] = _segmentation(header, diagnosis, lungs)
    if diagnosis.verdict.may_score:
        objects["heatmap.pm.dcm"] = _parametric_map(header, diagnosis)
        objects["heatmap.sc.dcm"] = _overlay(header, diagnosis)
    objects["score.sr.dcm"] = score_report(
        header,
        diagnosis,
        objects.get("lungs.seg.dcm"),
        **_series(3, f"score, {diagnosis.model}"),
    )
    return objects


def _series(number: int, what: str) -> dict:
    """Every object is a series of its own."""
    return {
        "series_instance_uid": highdicom.UID(),
        "series_number": SERIES_NUMBER + number,
        "sop_instance_uid": highdicom.UID(),
        "instance_number": 1,
        "manufacturer": "Pulmoscope",
        "series_description": f"Pulmoscope {what}. {WARNING}",
        "specific_character_set": "ISO_IR 192",
    }


def _equipment(diagnosis: Diagnosis, weights: str) -> dict:
    """A program has no serial number; the hash of its weights tells one from another."""
    return {
        "manufacturer_model_name": "Pulmoscope",
        "software_versions": diagnosis.version,
        "device_serial_number": weights,
    }


def _segmentation(header: Dataset, diagnosis: Diagnosis, lungs: np.ndarray) -> Segmentation:
    """Both lungs as one segment: 1 in a lung field that the U-Net sees, 0 elsewhere."""
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name="Pulmoscope U-Net",
        family=codes.cid7162.ArtificialIntelligence,
        version=diagnosis.version,
        source="Pulmoscope",
        parameters={"weights_sha256": diagnosis.unet_sha256},
    )
    description = SegmentDescription(
        segment_number=1,
        segment_label="Lungs",
        segmented_property_category=codes.cid7150.AnatomicalStructure,
        segmented_property_type=codes.SCT.Lung,
        algorithm_type="AUTOMATIC",
        algorithm_identification=algorithm,
        display_color=highdicom.color.CIELabColor.from_rgb(0, 200, 215),
    )
    description.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [
        highdicom.sr.CodedConcept.from_code(codes.cid244.Bilateral)
    ]
    if not diagnosis.verdict.may_score:
        description.SegmentDescription = "Not plausible as the lungs of a frontal chest radiograph"
    # The image that it refers to gives the spacing. Written here, a slice's thickness would be
    # asked for beside it, which a projection does not have.
    placed = copy(header)
    placed.pop("PixelSpacing", None)
    segmentation = Segmentation(
        source_images=[placed],
        pixel_array=lungs,
        segmentation_type="BINARY",
        segment_descriptions=[description],
        content_label="LUNGS",
        content_description=f"Lungs found by the U-Net. {WARNING}",
        **_series(0, f"lungs, {diagnosis.model}"),
        **_equipment(diagnosis, diagnosis.unet_sha256),
    )
    segmentation.PatientOrientation = header.get("PatientOrientation")
    return segmentation


class _FlatMap(ParametricMap):
    """A parametric map of one frame without position in space.

    highdicom 0.28 describes such a frame by its label and then writes none, and refuses the result.
    """

    def _init_multiframe_image(self, **arguments):
        label = highdicom.ChannelDescriptor("FrameLabel")
        super()._init_multiframe_image(channel_dimension_index=label, **arguments)

    def _get_pffg_item(self, **arguments) -> Dataset:
        frame = super()._get_pffg_item(**arguments)
        frame.FrameContentSequence[0].FrameLabel = "Film"
        return frame


def _parametric_map(header: Dataset, diagnosis: Diagnosis) -> ParametricMap:
    """The raw heatmap, float32, windowed to the fixed scale on which films compare."""
    heatmap = as_stored(diagnosis.heatmap(), diagnosis.radiograph.repairs)
    scale = diagnosis.cam_scale[diagnosis.cam]
    by_gradient = diagnosis.cam in METHODS
    kind = "GradientWeightedClassActivation" if by_gradient else "ClassActivation"
    mapping = RealWorldValueMapping(
        lut_label="EVIDENCE",
        lut_explanation=f"Evidence for COVID-19, method {diagnosis.cam}",
        unit=codes.UCUM.NoUnits,
        value_range=(0.0, float(max(scale, heatmap.max()))),
        slope=1,
        intercept=0,
        quantity_definition=getattr(codes.cid7180, kind),
    )
    parametric_map = _FlatMap(
        source_images=[header],
        pixel_array=heatmap,
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[mapping],
        voi_lut_transformations=[
            highdicom.VOILUTTransformation(window_center=scale / 2, window_width=scale)
        ],
        content_label="HEATMAP",
        content_description=f"Evidence for COVID-19. {WARNING}",
        **_series(1, f"evidence, {diagnosis.model}"),
        **_equipment(diagnosis, diagnosis.weights_sha256),
    )
    _complete(parametric_map, header)
    return parametric_map


def _complete(parametric_map: ParametricMap, header: Dataset) -> None:
    """Add what PS3.3 A.75 asks for and highdicom leaves out where a film has no position.

    The frame of reference is the film's or a new one, bound to no patient: a plane in space is
    then not asked for (table A.75-2).
    """
    parametric_map.PatientOrientation = header.get("PatientOrientation")
    if "FrameOfReferenceUID" not in header:
        parametric_map.FrameOfReferenceUID = highdicom.UID()
        parametric_map.PositionReferenceIndicator = None
    shared = parametric_map.SharedFunctionalGroupsSequence[0]
    if "PixelMeasuresSequence" not in shared:
        shared.PixelMeasuresSequence = [Dataset()]
    anatomy = Dataset()
    anatomy.AnatomicRegionSequence = [highdicom.sr.CodedConcept.from_code(codes.SCT.Lung)]
    anatomy.FrameLaterality = "B"
    shared.FrameAnatomySequence = [anatomy]


def _overlay(header: Dataset, diagnosis: Diagnosis) -> SCImage:
    """The heatmap over the film, for viewers that know no parametric maps; not for measuring."""
    film = shrink(diagnosis.radiograph.pixels, OVERLAY_SIDE)
    scale = diagnosis.cam_scale[diagnosis.cam]
    repairs = diagnosis.radiograph.repairs
    picture = overlay_heatmap(film, diagnosis.heatmap(shape=film.shape), scale)
    image = SCImage.from_ref_dataset(
        header,
        pixel_array=_labelled(as_stored(picture, repairs), diagnosis.model),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "F"),
        **_series(2, f"heatmap, {diagnosis.model}"),
        **_equipment(diagnosis, diagnosis.weights_sha256),
    )
    # highdicom asks for an orientation; what the film does not say stays empty (type 2C).
    image.PatientOrientation = header.get("PatientOrientation")
    image.BodyPartExamined = header.get("BodyPartExamined", "CHEST")
    if "BurnedInAnnotation" in header:
        image.BurnedInAnnotation = header.BurnedInAnnotation
    image.DerivationDescription = f"Heatmap, method {diagnosis.cam}, 0 to {scale:g}. {WARNING}"
    image.SourceImageSequence = [_reference(header)]
    return image


def _reference(header: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = header.SOPClassUID
    item.ReferencedSOPInstanceUID = header.SOPInstanceUID
    item.PurposeOfReferenceCodeSequence = [
        highdicom.sr.CodedConcept.from_code(codes.DCM.SourceImageForImageProcessingOperation)
    ]
    return item


def _labelled(picture: np.ndarray, model: str) -> np.ndarray:
    """Add a line of text below the picture, where it hides nothing of the film."""
    text, face = f"Pulmoscope, {model}. {WARNING}.", cv2.FONT_HERSHEY_SIMPLEX
    columns = picture.shape[1]
    (width, _), _ = cv2.getTextSize(text, face, 1.0, 1)
    scale = min(0.8, 0.96 * columns / width)
    strip = np.zeros((round(44 * scale) + 4, columns, 3), np.uint8)
    where = round(0.02 * columns), round(30 * scale) + 2
    cv2.putText(strip, text, where, face, scale, (255, 255, 255), 1, cv2.LINE_AA)
    return np.concatenate([picture, strip])


def _written(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
