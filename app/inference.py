"""Cached models, and the cases of one reader's session.

Nothing here writes a film anywhere: cases live in the session's memory and end with it.
"""

import os
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np
import streamlit as st

from pipeline import registry
from pipeline.messages import Message
from pipeline.phantom import EXAMPLES, draw_film
from pipeline.radiograph import Radiograph, UnreadableRadiograph, read_radiograph


@dataclass(frozen=True, eq=False)
class Case:
    """One film of the session, and the answers of the models that have read it.

    ``origin``: "upload", "synthetic" or "database"; ``truth``: the database's class, if any;
    ``source``: the bytes of a DICOM file, which its export refers to.
    """

    name: str
    origin: str
    radiograph: Radiograph
    truth: str | None = None
    source: bytes | None = None
    answers: dict = field(default_factory=dict)


@st.cache_resource(show_spinner=False)
def prepare(model: str) -> Future:
    """Start to load and trace a model, once per server, while the reader looks for a film."""
    return ThreadPoolExecutor(1, thread_name_prefix=model).submit(_load, model)


def _load(model: str):
    from pipeline.predictor import Predictor

    predictor = Predictor(model)
    predictor(np.zeros((64, 64), np.float32))  # trace before the first film waits for it
    return predictor


def diagnosis_of(case: Case, model: str):
    """The case's answer by a model; computed once."""
    if model not in case.answers:
        from pipeline.diagnose import diagnose

        case.answers[model] = diagnose(case.radiograph, prepare(model).result())
    return case.answers[model]


def is_answered(case: Case, model: str) -> bool:
    """Whether the model has read the case already."""
    return model in case.answers


def cases() -> dict[str, Case]:
    """The session's readable films, newest last, by their sha256."""
    return st.session_state.setdefault("cases", {})


def refused() -> dict[str, Message]:
    """Why files of the last upload could not be read, by file name."""
    return st.session_state.setdefault("refused", {})


def open_case(case: Case) -> None:
    """Add a case to the session and select it."""
    key = case.radiograph.sha256
    cases().setdefault(key, case)
    st.session_state["case"] = key


def selected_case() -> Case | None:
    """The case that is being read."""
    return cases().get(st.session_state.get("case"))


def read_case(name: str, origin: str, data: bytes) -> Case:
    """Decode a file. Raises UnreadableRadiograph."""
    radiograph = read_radiograph(data)
    source = data if radiograph.format == "DICOM" else None
    return Case(name, origin, radiograph, source=source)


def take_uploads(files) -> None:
    """Read uploaded files; those that cannot be read are remembered in `refused`."""
    st.session_state["refused"] = {}
    for file in files:
        try:
            open_case(read_case(file.name, "upload", file.getvalue()))
        except UnreadableRadiograph as error:
            refused()[file.name] = error.message


def open_example(name: str) -> None:
    """Open one of the built-in synthetic films."""
    open_case(example(name))


def example(name: str) -> Case:
    """One of the built-in synthetic films."""
    return Case(name, "synthetic", _example(name))


@cache
def _example(name: str) -> Radiograph:
    film, _ = draw_film(EXAMPLES[name])
    return Radiograph(film.astype(np.float32), f"synthetic-{name}", "synthetic")


def open_listed(name: str, origin: str, data: bytes) -> None:
    """Open a film of the work list; of those, the session keeps the last `LISTED` decoded."""
    case = read_case(name, origin, data)
    open_case(case)
    listed = st.session_state.setdefault("listed", [])
    if cases()[case.radiograph.sha256] is case:  # not one that was there before
        listed.append(case.radiograph.sha256)
    while len(listed) > LISTED:
        cases().pop(listed.pop(0), None)


LISTED = 4

REPAIRS = {
    "inverted": lambda film: 255 - film,
    "turned_left": lambda film: np.rot90(film, -1),
    "turned_right": np.rot90,
    "upside_down": lambda film: np.rot90(film, 2),
}


def repair(case: Case, code: str) -> None:
    """Open the case as it should have come: inverted or turned, as the verdict's code says."""
    film = case.radiograph
    pixels = np.ascontiguousarray(REPAIRS[code](film.pixels))
    repaired = replace(film, pixels=pixels, sha256=f"{film.sha256}-{code}")
    open_case(replace(case, radiograph=repaired, answers={}))


@st.cache_resource(show_spinner=False)
def database_films() -> dict[str, list]:
    """Films of the database that training never saw, by class; empty without a database.

    The database is the folder that ``PULMOSCOPE_DATA`` names.
    """
    folder = os.environ.get("PULMOSCOPE_DATA")
    if not folder or not Path(folder).is_dir():
        return {}
    from pipeline.training.database import read_database

    by_class: dict[str, list] = {}
    unseen = registry.unseen_films()
    for film in read_database(folder):
        if film.label and film.name in unseen:
            by_class.setdefault(film.label, []).append(film)
    return by_class


def open_database_film(label: str, number: int) -> None:
    """Open a film of the database."""
    film = database_films()[label][number]
    radiograph = read_radiograph(film.path.read_bytes())
    open_case(Case(film.name, "database", radiograph, truth=film.label))
