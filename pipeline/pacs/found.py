"""One image that a search found: enough to list it, to ask for it, and to tell whose it is."""

import hashlib
import re
from dataclasses import dataclass, field
from typing import Any

from pydicom.datadict import tag_for_keyword

from pipeline.io.projection import body_part_of, projection_of
from pipeline.quality.gate import CHEST, LATERAL

UID = re.compile(r"[0-9.]{1,64}")


@dataclass(frozen=True)
class FoundImage:
    """``date`` is YYYYMMDD, ``time`` HHMMSS, empty where unknown; ``projection``, ``body_part`` as
    in a `Radiograph`. Its text (`repr`) names no patient."""

    study: str = field(repr=False)
    series: str = field(repr=False)
    instance: str = field(repr=False)
    date: str = ""
    time: str = ""
    modality: str = ""
    body_part: str = ""
    projection: str = ""
    rows: int | None = None
    columns: int | None = None
    accession: str = field(default="", repr=False)
    patient_id: str = field(default="", repr=False)
    issuer: str = field(default="", repr=False)
    patient_name: str = field(default="", repr=False)
    description: str = field(default="", repr=False)

    @property
    def uids(self) -> tuple[str, str, str]:
        """Of study, series and instance."""
        return self.study, self.series, self.instance

    @property
    def name(self) -> str:
        """What the image is called once it is open: its day and a mark, without a patient."""
        mark = hashlib.sha256(self.instance.encode()).hexdigest()[:6]
        return " ".join(part for part in ("PACS", self.day, mark) if part)

    @property
    def day(self) -> str:
        """``2026-03-09``, or nothing."""
        one = self.date
        return f"{one[:4]}-{one[4:6]}-{one[6:8]}" if re.fullmatch(r"\d{8}", one) else ""

    @property
    def may_be_frontal_chest(self) -> bool:
        """Whether nothing says that it is another part of the body or another projection."""
        return self.projection not in LATERAL and self.body_part in CHEST


def found_image(answer: dict[str, Any]) -> FoundImage | None:
    """One result of QIDO-RS (PS3.18 F.2), or None for what names no instance to ask for."""
    one = _Values(answer)
    study, series, instance = (one.text(f"{k}InstanceUID") for k in ("Study", "Series", "SOP"))
    if not all(map(UID.fullmatch, (study, series, instance))):
        return None
    return FoundImage(
        study,
        series,
        instance,
        date=one.text("StudyDate"),
        time=one.text("StudyTime"),
        modality=one.text("Modality"),
        body_part=body_part_of(one.text("BodyPartExamined"), (), ()),
        projection=projection_of(one.text("ViewPosition"), (), ()),
        rows=one.whole("Rows"),
        columns=one.whole("Columns"),
        accession=one.text("AccessionNumber"),
        patient_id=one.text("PatientID"),
        issuer=one.text("IssuerOfPatientID"),
        patient_name=one.text("PatientName"),
        description=one.text("StudyDescription"),
    )


class _Values:
    """The first values of DICOM JSON, as text that may be shown."""

    def __init__(self, answer: dict[str, Any]):
        self._answer = answer

    def _first(self, keyword: str) -> Any:
        element = self._answer.get(f"{tag_for_keyword(keyword):08X}")
        values = element.get("Value") if isinstance(element, dict) else None
        return values[0] if isinstance(values, list) and values else None

    def text(self, keyword: str) -> str:
        value = self._first(keyword)
        if isinstance(value, dict):  # a name (PS3.18 F.2.2)
            value = value.get("Alphabetic") or value.get("Ideographic")
        if not isinstance(value, str | int | float):
            return ""
        return "".join(c for c in str(value) if c.isprintable())[:64].strip()

    def whole(self, keyword: str) -> int | None:
        value = self._first(keyword)
        return int(value) if isinstance(value, int | float) else None
