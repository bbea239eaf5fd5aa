"""How far apart an image's pixels lie in millimetres, and where: in the patient or at the detector.

PS3.3 10.7.1.3: in projection radiography Imager Pixel Spacing holds at the detector's front, where
the shadow of a structure is larger than the structure. Pixel Spacing differs from it only where
somebody has calibrated it to a plane in the patient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pipeline.io.dicom_header import Header

LOWEST, HIGHEST = 0.02, 2.0  # mm; detectors have 0.1 to 0.2, reduced copies up to 1
UNEVEN = 1.5  # ratio of the two beyond which one is a slip
DETECTOR, PATIENT = "detector", "patient"
ELEMENTS = [
    "PixelSpacing",
    "PixelSpacingCalibrationType",
    "ImagerPixelSpacing",
    "NominalScannedPixelSpacing",
]


class Spacing(NamedTuple):
    """Millimetres from one row to the next and from one column to the next; ``at``: `DETECTOR` or
    `PATIENT`."""

    rows: float
    columns: float
    at: str = DETECTOR

    def turned(self) -> Spacing:
        """Of the image turned by 90 degrees."""
        return Spacing(self.columns, self.rows, self.at)


def spacing_of(header: Header) -> Spacing | None:
    """What a DICOM file says, or None where it says nothing or what cannot be."""
    pixel = _pair(header, "PixelSpacing")
    imager = _pair(header, "ImagerPixelSpacing") or _pair(header, "NominalScannedPixelSpacing")
    calibrated = header.code("PixelSpacingCalibrationType") or (imager and pixel != imager)
    if pixel and calibrated:
        return Spacing(*pixel, PATIENT)
    found = imager or pixel
    return Spacing(*found) if found else None


def _pair(header: Header, keyword: str) -> tuple[float, float] | None:
    numbers = header.numbers(keyword)
    if len(numbers) != 2 or None in numbers:
        return None
    low, high = sorted(n for n in numbers if n is not None)
    if not (low >= LOWEST and high <= HIGHEST and high <= UNEVEN * low):
        return None
    return float(numbers[0]), float(numbers[1])  # type: ignore[arg-type]
