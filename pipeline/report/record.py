"""A case as JSON, for scripts and for the file."""

import json
from collections.abc import Sequence
from datetime import datetime

from pipeline import __version__
from pipeline.inference.diagnosis import Diagnosis
from pipeline.report.operating_point import operating_point
from pipeline.report.provenance import check_same_film


def case_record(diagnoses: Sequence[Diagnosis], *, when: datetime, synthetic: bool = False) -> dict:
    """One film's answers with everything that tells how they came about; no identity, no file name.

    ``film``: of what was read. ``answers``: per model, the fields of `Diagnosis.as_dict`, the
    sentences of the reasons, and ``on_test_films``, see `operating_point`, where the score is
    given. Raises ValueError for answers of several films.
    """
    check_same_film(diagnoses)
    film = diagnoses[0].radiograph
    return {
        "use": "not for diagnostic use",
        "created": when.isoformat(timespec="seconds"),
        "version": __version__,
        "film": {
            "sha256": film.sha256,
            "repairs": list(film.repairs),
            "notes": [note.sentence() for note in film.notes],
            "synthetic": synthetic,
            "format": film.format,
            "rows": film.shape[0],
            "columns": film.shape[1],
            "bits": film.bits,
            "photometric_interpretation": film.photometric,
            "projection": film.projection,
            "body_part": film.body_part,
        },
        "answers": [_answer(diagnosis) for diagnosis in diagnoses],
    }


def case_json(diagnoses: Sequence[Diagnosis], *, when: datetime, synthetic: bool = False) -> bytes:
    """`case_record` as UTF-8 text."""
    record = case_record(diagnoses, when=when, synthetic=synthetic)
    return json.dumps(record, indent=1, ensure_ascii=False).encode()


def _answer(diagnosis: Diagnosis) -> dict:
    scored = diagnosis.verdict.may_score
    return diagnosis.as_dict() | {
        "sentences": [reason.sentence() for reason in diagnosis.verdict.reasons],
        "cam": diagnosis.cam if scored else None,
        "on_test_films": operating_point(diagnosis) if scored else None,
    }
