"""The same graph for other programs: ``POST /v1/diagnose``, described at ``/v1/docs``.

A film comes as the body of the request, as it lies on disk; it is read in memory and kept nowhere.
The answer is the command line's record, errors are the page's sentences, and films wait in the
page's queue.
"""

import asyncio
import contextlib
import hashlib
import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Literal

from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel, Field
from starlette.requests import ClientDisconnect

from app.http import auth, bodies
from pipeline import __version__
from pipeline.inference.diagnosis import Diagnosis
from pipeline.io.radiograph import UnreadableRadiograph
from pipeline.models import registry
from pipeline.models.registry import WeightsError
from pipeline.release import measurements
from pipeline.report.fhir import Release, fhir_json
from pipeline.serving import films, self_check
from pipeline.serving.private_log import kind_and_place
from pipeline.serving.queue import NoAnswer, Ticket, service
from pipeline.serving.settings import read_settings
from pipeline.serving.stability import background
from pipeline.text.messages import Message

log = logging.getLogger(__name__)
NOTE = "Not for diagnostic use."
# HTTP statuses of what is nobody's fault but the server's, by code of `pipeline.text.messages`.
BUSY = {
    "queue_full": 429,
    "no_room": 429,
    "film_memory": 413,
    "queue_patience": 503,
    "stopping": 503,
    "model_unknown": 404,
}

api: FastAPI = FastAPIOffline(
    title="Pulmoscope",
    version=__version__,
    description=f"Lung mask and COVID score of a chest radiograph. **{NOTE}**",
    openapi_url="/openapi.json",
)


class Record(BaseModel):
    """What a model says of a film, or why it says nothing."""

    sha256: str | None = Field(description="Of the bytes that were sent, hexadecimal")
    status: Literal["ok", "abstained", "error"]
    reasons: list[str] = Field(description="Codes: why there is no score")
    sentences: list[str] = Field(description="The same in words: what, why, what to do")
    notes: list[str] = Field([], description="What to know of how the file was read")
    model: str | None
    weights_sha256: str | None = None
    unet_sha256: str | None = None
    covid_probability: float | None = Field(None, description="The same as covid_score")
    covid_score: float | None = Field(
        None, description="0..1, no probability of disease; null unless ok"
    )
    threshold: float | None = Field(None, description="Positive at or above this score, 0..1")
    positive: bool | None = None
    triage: Literal["likely", "unlikely", "uncertain"] | None = None
    class_shares: dict[str, float] | None = Field(
        None, description="Of the four classes, 0..1, where the model separates them"
    )
    lung_area_fraction: float | None = Field(None, description="Share of the image, 0..1")
    measures: dict[str, float | str | None] | None = Field(
        None, description="Of the lungs: mm and cm², where the file gives its pixels' spacing"
    )
    seconds: float | None = Field(None, description="Time of the forward pass")
    version: str = __version__
    stability: dict | None = Field(
        None, description="Scores of eight slightly changed copies, where it was asked for"
    )
    note: str = NOTE


class Refused(Exception):
    """An answer that is an error: HTTP status, and the record that says why."""

    def __init__(self, status: int, message: Message, model: str | None = None, data: bytes = b""):
        super().__init__(message.code)
        self.status = status
        self.record = Record(
            sha256=hashlib.sha256(data).hexdigest() if data else None,
            status="error",
            reasons=[message.code],
            sentences=[message.sentence()],
            model=model,
        )


@api.exception_handler(Refused)
async def _say_why(_request: Request, error: Refused) -> JSONResponse:
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}
    if error.status in (408, 413, 429):  # the rest of a body may still be coming
        headers["Connection"] = "close"
    return JSONResponse(error.record.model_dump(), error.status, headers)


@api.exception_handler(RequestValidationError)
async def _say_what_is_wrong(_request: Request, error: RequestValidationError) -> JSONResponse:
    """A query that makes no sense, in the shape and the words of all other errors."""
    name = str(error.errors()[0]["loc"][-1])
    refused = Refused(422, Message("query_invalid", {"name": name}))
    return JSONResponse(refused.record.model_dump(), refused.status)


FILM = {
    "requestBody": {
        "required": True,
        "description": "PNG, JPEG, BMP, TIFF, WebP or DICOM, as the file's bytes",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
ERRORS = {
    status: {"model": Record, "description": text}
    for status, text in {
        400: "These bytes are not a readable image",
        401: "This server requires a bearer token",
        404: "Unknown model",
        408: "The body did not arrive in time",
        413: "Larger than the server accepts, as a file or in memory",
        415: "A form or a compressed body instead of the image's bytes",
        422: "Invalid value in the query",
        429: "Too many images are waiting",
        503: "No model, no time left, or the server is stopping",
    }.items()
}


# Streamlit's pages, static files and /health share a small pool of threads: films have their own.
READING = CapacityLimiter(2)
OPEN = bodies.Requests(read_settings().queue + 8)


FHIR = "application/fhir+json"
SAID = {
    200: {
        "model": Record,
        "description": "The record, or with format=fhir a Bundle",
        "content": {FHIR: {"schema": {"type": "object"}}},
    }
}


@api.post("/diagnose", tags=["Films"], openapi_extra=FILM, responses=SAID | ERRORS)
async def diagnose(
    request: Request,
    model: Annotated[str, Query(description="light or xception")] = "light",
    threshold: Annotated[float | None, Query(ge=0, le=1, description="instead of ours")] = None,
    kind: Annotated[Literal["json", "fhir"], Query(alias="format")] = "json",
    release: Annotated[Release, Query(description="of FHIR")] = "R4",
    stability: Annotated[bool, Query(description="also read eight changed copies")] = False,
) -> Record:
    """Lung area, COVID score and verdict of one film."""
    party = await auth.caller(request)
    if party is None:
        raise Refused(401, Message("token_needed"))
    _check_kind(request)
    try:
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(OPEN.one(party))
            except NoAnswer:
                await bodies.let_pass(request.receive)
                raise
            data, place = await bodies.take_body(request, party)
            with place:
                diagnosis = await _answer(request, party, model, stability, data)
                if kind == "fhir":
                    return await to_thread.run_sync(
                        _fhir, diagnosis, threshold, data, release, limiter=READING
                    )
                return _record(diagnosis, threshold)
    except NoAnswer as error:
        raise Refused(BUSY.get(error.message.code, 503), error.message, model) from error
    except bodies.TooLarge:
        megabytes = bodies.longest() // 2**20
        raise Refused(413, Message("upload_large", {"megabytes": megabytes})) from None
    except bodies.Slow:
        raise Refused(408, Message("body_slow")) from None
    except ClientDisconnect:
        raise Refused(499, Message("stopping")) from None  # nobody is there to be told


def _check_kind(request: Request) -> None:
    """The film itself is the body: no form around it, no packing."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    packing = request.headers.get("content-encoding", "identity").strip().lower()
    if kind.startswith("multipart/") or packing not in ("", "identity"):
        what = kind if kind.startswith("multipart/") else packing
        shown = "".join(c for c in what if c.isascii() and c.isprintable())[:40]
        raise Refused(415, Message("body_kind", {"kind": shown}))


def _record(diagnosis: Diagnosis, threshold: float | None) -> Record:
    if threshold is not None and diagnosis.verdict.may_score:
        diagnosis = replace(diagnosis, threshold=threshold)
    said = diagnosis.as_dict()
    sentences = [reason.sentence() for reason in diagnosis.verdict.reasons]
    notes = [note.sentence() for note in diagnosis.radiograph.notes]
    return Record(**said, sentences=sentences, notes=notes)


def _fhir(diagnosis: Diagnosis, threshold: float | None, data: bytes, release: Release) -> Response:
    answer = diagnosis if threshold is None else replace(diagnosis, threshold=threshold)
    source = data if diagnosis.radiograph.format == "DICOM" else None
    text = fhir_json([answer], when=datetime.now(UTC), source=source, release=release)
    return Response(text, media_type=FHIR)


async def _answer(
    request: Request, party: str, model: str, stability: bool, data: bytes
) -> Diagnosis:
    try:
        ticket = await _in_the_queue(request, party, model, data)
        await _answered(request, ticket)
        diagnosis = ticket.result()
        if stability and diagnosis.verdict.may_score:
            copies = asyncio.wrap_future(background().ask(diagnosis))
            diagnosis = replace(diagnosis, stability=await copies)
        return diagnosis
    except UnreadableRadiograph as error:
        raise Refused(400, error.message, model, data) from error
    except (NoAnswer, WeightsError) as error:
        raise Refused(BUSY.get(error.message.code, 503), error.message, model, data) from error
    except (Refused, ClientDisconnect):
        raise
    except Exception as error:  # its text may hold what the film says of a patient
        log.error("a film failed: %s", kind_and_place(error))
        raise Refused(500, Message("film_failed"), model, data) from None


async def _in_the_queue(request: Request, party: str, model: str, data: bytes) -> Ticket:
    """The film's ticket, once there was memory to read it."""
    await to_thread.run_sync(_must_be_installed, model, limiter=READING)
    place = await to_thread.run_sync(films.ask, data, party, limiter=READING)
    await bodies.until_granted(place, request)
    try:
        film = await to_thread.run_sync(films.decode, data, place, limiter=READING)
    except BaseException:  # also where nobody waits for a thread any more
        place.release()
        raise
    return service().submit(f"http:{party}", film, model, party)


async def _answered(request: Request, ticket: Ticket) -> None:
    """Wait for the answer; whose caller has hung up is taken out of the queue."""
    loop, answered = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        with contextlib.suppress(RuntimeError):  # the server has ended meanwhile
            loop.call_soon_threadsafe(answered.set)

    ticket.when_done(wake)
    try:
        while not ticket.wait(0):
            if await request.is_disconnected():
                raise ClientDisconnect
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(answered.wait(), 0.25)
    finally:
        ticket.cancel()  # which does nothing once there is an answer


def _must_be_installed(model: str) -> None:
    if model in registry.classifiers():
        return
    known = registry.classifiers(installed=False)
    if model not in known:
        raise NoAnswer("model_unknown", model=model, known=", ".join(known))
    registry.entry(model).checked_file()  # which says what is missing


class Health(BaseModel):
    """Whether films can be diagnosed."""

    ready: bool
    models: dict[str, str] = Field(description='"ok", "loading", or what is wrong')
    files: dict[str, str] = Field(description="Damaged files of the weights folder, and what to do")


@api.get(
    "/health",
    tags=["Server"],
    responses={503: {"model": Health, "description": "Not, or not yet"}},
)
def health(response: Response) -> Health:
    """Ready when every model named in PULMOSCOPE_PRELOAD gives its canary film's golden answer, and
    registry and measurements are what they should be."""
    names = [name for name in read_settings().preload.split(",") if name]
    states = {name: self_check.state(name, service().models) for name in names}
    files = measurements.damaged()
    ready = not files and all(state == "ok" for state in states.values())
    response.status_code = 200 if ready else 503
    return Health(ready=ready, models=states, files=files)
