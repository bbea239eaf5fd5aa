"""The lungs' outline and the film's window as a presentation state, drawn over the film by viewers.

Grayscale Softcopy Presentation State (PS3.3 A.33.1); for viewers that show no segmentations.
"""

from typing import Any

import cv2
import highdicom
import numpy as np
from highdicom.pr import (
    GraphicAnnotation,
    GraphicLayer,
    GraphicObject,
    GrayscaleSoftcopyPresentationState,
    SoftcopyVOILUTTransformation,
)
from pydicom import Dataset

from pipeline.inference.diagnosis import Diagnosis
from pipeline.io.orientation import as_stored

DETAIL = 0.75  # pixels by which the outline may be simplified


def presentation_state(
    header: Dataset, diagnosis: Diagnosis, window: tuple[float, float] | None, **series: Any
) -> Dataset:
    """The outline as closed polylines in one layer, over the pixels as they are stored.

    ``header``: see `read_source`; ``window``: the film's own centre and width, if it has them;
    ``series``: identifiers, descriptions and equipment.
    """
    layer = GraphicLayer(
        "LUNGS",
        order=1,
        description="Outline of the lungs. Not for diagnostic use",
        display_color=highdicom.color.CIELabColor.from_rgb(0, 200, 215),
    )
    outline = GraphicAnnotation([header], layer, graphic_objects=_polylines(diagnosis))
    voi = [SoftcopyVOILUTTransformation(*window)] if window else None
    state = GrayscaleSoftcopyPresentationState(
        referenced_images=[header],
        content_label="LUNGS",
        content_description="Lungs found by the U-Net. Not for diagnostic use",
        graphic_annotations=[outline],
        graphic_layers=[layer],
        voi_lut_transformations=voi,
        **series,
    )
    state.Laterality = None  # type 2C; both lungs
    return state


def _polylines(diagnosis: Diagnosis) -> list[GraphicObject]:
    """Columns and rows, counted from the film's upper left corner (PS3.3 C.10.5.1.2)."""
    lungs = as_stored(diagnosis.lung_mask(), diagnosis.radiograph.repairs)
    contours, _ = cv2.findContours(lungs, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    found = []
    for contour in contours:
        points = cv2.approxPolyDP(contour, DETAIL, closed=True)[:, 0].astype(float) + 0.5
        if len(points) > 2:
            closed = np.concatenate([points, points[:1]])
            found.append(GraphicObject("POLYLINE", closed, units="PIXEL"))
    return found
