"""The models' answers, and the cases of one reader's session.

Nothing here writes a film anywhere: cases live in the session's memory and end with it.
"""

import os
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from uuid import uuid4

import numpy as np
import streamlit as st
from streamlit.runtime.scriptrunner import RerunException, StopException, get_script_run_ctx

from app.session.language import ngettext
from pipeline.data.phantom import EXAMPLES, draw_film
from pipeline.inference.diagnosis import Diagnosis
from pipeline.io.orientation import repaired
from pipeline.io.radiograph import Radiograph, UnreadableRadiograph
from pipeline.models import registry
from pipeline.serving import films
from pipeline.serving.queue import NoAnswer, Ticket, service
from pipeline.text.messages import Message

PAUSE = 0.5  # seconds until the page tells anew how many films come first
MEGABYTE = 1024 * 1024
MAX_HELD = 256 * MEGABYTE  # of a session's films


@dataclass(frozen=True, eq=False)
class Case:
    """One film of the session, and the answers of the models that have read it.

    ``origin``: "upload", "synthetic", "database" or "pacs"; ``truth``: the database's class, if
    any; ``source``: the bytes of a DICOM file, which its export refers to.
    """

    name: str
    origin: str
    radiograph: Radiograph
    truth: str | None = None
    source: bytes | None = None
    answers: dict = field(default_factory=dict)
    tickets: dict[str, Ticket] = field(default_factory=dict)


def prepare(model: str) -> Future:
    """Start to load a model, once per server, while the reader looks for a film."""
    return service().models.prepare(model)


def diagnosis_of(case: Case, model: str):
    """The case's answer by a model; computed once, and waited for by all who ask meanwhile.

    While other films come first, the page says how many. Raises NoAnswer or WeightsError.
    """
    while model not in case.answers:
        ticket = case.tickets.get(model)
        if ticket is None or ticket.forgotten:
            ticket = case.tickets[model] = service().submit(
                owner(), case.radiograph, model, party()
            )
        # Streamlit ends the script in here when the reader touches something: the film keeps its
        # place, and the script that follows waits for the same ticket.
        _wait(ticket)
        if ticket.forgotten:
            continue
        try:
            case.answers[model] = ticket.result()
        finally:
            case.tickets.pop(model, None)
    return case.answers[model]


def ask(radiograph: Radiograph, model: str):
    """A model's answer to a film that is no case of the session. Raises as `diagnosis_of`."""
    ticket = service().submit(owner(), radiograph, model, party())
    try:
        _wait(ticket)
    except (RerunException, StopException):
        ticket.cancel()
        raise
    return ticket.result()


def list_asker(model: str):
    """How a work list asks: in the queue, under a name of its own, and waiting for a place."""
    name, mine = f"list:{uuid4()}", party()

    def answer(stop, radiograph, _predictor):
        return service().ask(name, radiograph, model, given_up=stop.is_set, insist=True, party=mine)

    return answer


def list_reader():
    """How a work list decodes a film: in its turn, within the server's memory."""
    mine = party()
    return lambda stop, data: films.read(data, mine, stop.is_set)


def _wait(ticket: Ticket) -> None:
    place = st.empty()
    while not ticket.wait(PAUSE):
        if ticket.ahead:
            text = ngettext(
                "{count} image is ahead of yours", "{count} images are ahead of yours", ticket.ahead
            )
            place.caption(text.format(count=ticket.ahead))
        else:
            place.empty()
    place.empty()


def owner() -> str:
    """Under which name the session's films wait."""
    context = get_script_run_ctx()
    return f"page:{context.session_id if context else 'none'}"


def party() -> str:
    """Whom the session belongs to, as the queue and the memory are shared between them."""
    if st.user.get("is_logged_in"):
        return f"sub:{st.user.get('sub', '')}"
    return str(st.context.ip_address or "127.0.0.1")  # Streamlit's None


def is_answered(case: Case, model: str) -> bool:
    """Whether the model has read the case already."""
    return model in case.answers


def readings(case: Case) -> list[Diagnosis]:
    """What the models that read films say of it; not CNN-2, which serves the page on bias."""
    return [case.answers[name] for name in registry.classifiers() if name in case.answers]


def cases() -> dict[str, Case]:
    """The session's readable films, newest last, by their `Radiograph.key`."""
    return st.session_state.setdefault("cases", {})


def refused() -> list[tuple[str, Message]]:
    """Names of files of the last upload that could not be read, and why; names may be alike."""
    return st.session_state.setdefault("refused", [])


def open_case(case: Case) -> None:
    """Add a case to the session and select it; of large or many films the oldest are let go."""
    key = case.radiograph.key
    cases().setdefault(key, case)
    st.session_state["case"] = key
    held = list(cases())
    while len(held) > 2 and sum(_size(cases()[k]) for k in held) > MAX_HELD:
        cases().pop(held.pop(0))
        st.session_state["let_go"] = True


def _size(case: Case) -> int:
    """Bytes that a case holds, more or less: its film, its file, and what the models made of it."""
    rows, columns = case.radiograph.shape
    return 4 * rows * columns + len(case.source or b"") + 8 * MEGABYTE


def selected_case() -> Case | None:
    """The case that is being read."""
    return cases().get(st.session_state.get("case"))


def read_case(name: str, origin: str, data: bytes) -> Case:
    """Decode a file. Raises UnreadableRadiograph, or NoAnswer without memory for it."""
    radiograph = films.hold(data, party())
    source = data if radiograph.format == "DICOM" else None
    return Case(name, origin, radiograph, source=source)


def take_uploads(files) -> None:
    """Read uploaded files; those that cannot be read are remembered in `refused`."""
    st.session_state["refused"] = []
    st.session_state["case"] = None  # no answer to another film below an error
    for file in files:
        try:
            open_case(read_case(file.name, "upload", file.getvalue()))
        except (UnreadableRadiograph, NoAnswer) as error:
            refused().append((file.name, error.message))


def open_example(name: str) -> None:
    """Open one of the built-in synthetic films."""
    open_case(example(name))


def example(name: str) -> Case:
    """One of the built-in synthetic films."""
    return Case(name, "synthetic", _example(name))


@cache
def _example(name: str) -> Radiograph:
    film, _mask = draw_film(EXAMPLES[name])
    return Radiograph(film.astype(np.float32), f"synthetic:{name}", "synthetic")


def open_listed(name: str, origin: str, data: bytes) -> None:
    """Open a film of the work list; of those, the session keeps the last `LISTED` decoded."""
    case = read_case(name, origin, data)
    open_case(case)
    listed = st.session_state.setdefault("listed", [])
    if cases()[case.radiograph.key] is case:  # not one that was there before
        listed.append(case.radiograph.key)
    while len(listed) > LISTED:
        cases().pop(listed.pop(0), None)


LISTED = 4


def repair(case: Case, code: str) -> None:
    """Open the case as it should have come: inverted or turned, as the verdict's code says."""
    film = case.radiograph
    repairs = (*film.repairs, code)
    right = films.derive(film, lambda pixels: repaired(pixels, (code,)), party(), repairs=repairs)
    open_case(replace(case, radiograph=right, answers={}, tickets={}))


@st.cache_resource(show_spinner=False)
def database_films() -> dict[str, list]:
    """Films of the database that training never saw, by class; empty without a database.

    The database is the folder that ``PULMOSCOPE_DATA`` names.
    """
    folder = os.environ.get("PULMOSCOPE_DATA")
    if not folder or not Path(folder).is_dir():
        return {}
    from pipeline.data.database import read_database

    by_class: dict[str, list] = {}
    unseen = registry.unseen_films()
    for film in read_database(folder):
        if film.label and film.name in unseen:
            by_class.setdefault(film.label, []).append(film)
    return by_class


def open_database_film(label: str, number: int) -> None:
    """Open a film of the database."""
    film = database_films()[label][number]
    radiograph = films.hold(film.path.read_bytes(), party())
    open_case(Case(film.name, "database", radiograph, truth=film.label))
