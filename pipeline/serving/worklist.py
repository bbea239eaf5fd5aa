"""Many images in their order: a row for each, whatever happens to the others.

A list hands in one image at a time by each of `READERS` threads, which unpack, decode and draw the
thumbnail while the worker computes others. A row says what `diagnose` says of the image alone;
where a server's queue puts images into one pass, the seventh digit may differ.

What a list holds in memory: at most `MAX_HELD_MB` of dropped files (a ZIP stays packed), per image
a thumbnail and a record, and as many decoded images as there are threads.
"""

import atexit
import base64
import hashlib
import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice

import cv2
import numpy as np

from pipeline.data.phantom import EXAMPLES, draw_film
from pipeline.io.archive import MAX_FILMS, MEGABYTE, Source, files_in, is_archive
from pipeline.io.radiograph import Radiograph, UnreadableRadiograph, read_radiograph
from pipeline.serving import budget
from pipeline.serving.queue import NoAnswer
from pipeline.text.messages import Message

MAX_HELD_MB = 256
THUMBNAIL_SIDE = 96
READERS = 3  # one image is computed, one read before it and one drawn after it


@dataclass(frozen=True, eq=False)
class Row:
    """What became of one file.

    ``record``: as in `Diagnosis.as_dict`; its status is "error" for a file that could not be read.
    ``reasons``: why there is no score. ``thumbnail``: a JPEG, or None.
    """

    source: Source
    record: dict
    reasons: tuple[Message, ...]
    thumbnail: bytes | None = None

    @property
    def thumbnail_url(self) -> str | None:
        """The thumbnail as a data URL, so that a page loads it from nowhere."""
        if self.thumbnail is None:
            return None
        return "data:image/jpeg;base64," + base64.b64encode(self.thumbnail).decode()


class Kept:
    """Stands for the memory of one dropped file: the sources that are read from it hold it."""

    def __init__(self, size: int, party: str):
        place = budget.files().at_once(size, party)
        self.size = size
        weakref.finalize(self, place.release)

    def read(self, read: Callable[[], bytes]) -> bytes:
        return read()


def gather(
    files: Iterable[tuple[str, bytes]],
    party: str = "",
    before: tuple[Source, ...] = (),
) -> tuple[list[Source], Message | None]:
    """Sources of dropped files, (name, bytes) each; a ZIP is replaced by the files in it.

    ``party``: whose they are, in the server's budget of memory; ``before``: sources that were
    gathered earlier and come first. Returns the sources, and a message when some had to be left
    out.
    """
    sources = list(before)
    held = sum(kept.size for kept in {id(k): k for k in map(_kept, before) if k}.values())
    left_out = 0
    for name, data in files:
        found = _sources_of(name, data)
        full = held + len(data) > MAX_HELD_MB * MEGABYTE
        try:
            if full or len(sources) + len(found) > MAX_FILMS:
                raise NoAnswer("no_room")
            kept = Kept(len(data), party)
        except NoAnswer:
            left_out += len(found)
            continue
        held += len(data)
        sources += [replace(one, read=partial(kept.read, one.read)) for one in found]
    values = {"films": MAX_FILMS, "megabytes": MAX_HELD_MB, "count": left_out}
    return sources, Message("list_full", values) if left_out else None


def _kept(source: Source) -> Kept | None:
    return getattr(getattr(source.read, "func", None), "__self__", None)


def _sources_of(name: str, data: bytes) -> list[Source]:
    if not is_archive(data):
        return [Source(name, lambda: data)]
    try:
        return files_in(data)
    except UnreadableRadiograph as error:
        return [Source(name, partial(_refuse, error.message))]


def _refuse(message: Message) -> bytes:
    raise UnreadableRadiograph(message.code, **message.values)


def synthetic_sources() -> list[Source]:
    """The built-in synthetic films, drawn when they are read."""
    return [Source(f"{name}.png", partial(_draw, name), origin="synthetic") for name in EXAMPLES]


def _draw(name: str) -> bytes:
    return cv2.imencode(".png", draw_film(EXAMPLES[name])[0])[1].tobytes()


def _ask_alone(radiograph: Radiograph, predictor):
    from pipeline.inference.diagnose import diagnose

    return diagnose(radiograph, predictor)


def read_row(
    source: Source, predictor, ask: Callable = _ask_alone, read: Callable = read_radiograph
) -> Row:
    """Read and diagnose one file; nothing escapes, a failure is a row with its sentence."""
    sha256 = None
    try:
        data = source.read()
        sha256 = hashlib.sha256(data).hexdigest()
        diagnosis = ask(read(data), predictor)
        thumbnail = _thumbnail(diagnosis.radiograph.pixels)
        return Row(source, diagnosis.as_dict(), diagnosis.verdict.reasons, thumbnail)
    except (UnreadableRadiograph, NoAnswer) as error:
        message = error.message
    except Exception as error:  # one film must not stop the rest
        # The kind only: the text of an error may hold what the film says of a patient.
        logging.getLogger(__name__).error("a film failed: %s", type(error).__name__)
        message = Message("film_failed")
    return Row(source, _error_record(sha256, message, predictor), (message,))


def _error_record(sha256: str | None, message: Message, predictor) -> dict:
    return {
        "sha256": sha256,
        "status": "error",
        "reasons": [message.code],
        "model": predictor.entry.name,
        "weights_sha256": predictor.entry.sha256,
        "threshold": predictor.entry.threshold,
    }


def _thumbnail(film: np.ndarray) -> bytes:
    scale = min(1, THUMBNAIL_SIDE / max(film.shape))
    rows, columns = (max(1, round(side * scale)) for side in film.shape)
    small = cv2.resize(film, (columns, rows), interpolation=cv2.INTER_AREA)
    small = np.rint(small.clip(0, 255)).astype(np.uint8)
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()


@dataclass(eq=False)
class _Progress:
    """What the thread and its list share."""

    thread: threading.Thread | None = None
    rows: list[Row] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)
    began: float | None = None
    problem: Message | None = None


_lists: weakref.WeakSet[_Progress] = weakref.WeakSet()


@atexit.register
def _end_all() -> None:
    """Let the films that are being read end: TensorFlow aborts when Python goes from under it."""
    for progress in list(_lists):
        progress.stop.set()
        progress.thread.join(10)


class WorkList:
    """Sources that a thread of its own reads, until it is done, cancelled or forgotten.

    ``predictor``: the future of a `Predictor`, which may still be loading. ``ask``: the event
    "nobody waits any more", film and predictor to a `Diagnosis`; by default the predictor is
    asked directly, without a queue. ``read``: the same event and a file's bytes to a `Radiograph`.
    """

    def __init__(
        self,
        sources: list[Source],
        predictor: Future,
        ask: Callable | None = None,
        read: Callable | None = None,
    ):
        self.total = len(sources)
        self._progress = _Progress()
        # The thread does not know the list: when a session ends, nobody does, and it stops.
        weakref.finalize(self, self._progress.stop.set)
        self._progress.thread = threading.Thread(
            target=_read_all, args=(sources, predictor, self._progress, ask, read), daemon=True
        )
        self._progress.thread.start()
        _lists.add(self._progress)

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows so far, in the order of the sources."""
        return tuple(self._progress.rows)

    @property
    def running(self) -> bool:
        return self._progress.thread.is_alive()

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was asked for; the film that is being read then may still come."""
        return self._progress.stop.is_set()

    @property
    def problem(self) -> Message | None:
        """Why the list could not be read at all."""
        return self._progress.problem

    def cancel(self) -> None:
        """Stop after the film that is being read; the rows so far stay."""
        self._progress.stop.set()

    def wait(self, seconds: float | None = None) -> None:
        """Wait until the thread has ended."""
        self._progress.thread.join(seconds)

    def seconds_left(self) -> float | None:
        """An estimate from the films so far; None before the first."""
        done = len(self._progress.rows)
        if not done:
            return None
        return (time.monotonic() - self._progress.began) / done * (self.total - done)


def _read_all(
    sources: list[Source],
    loading: Future,
    progress: _Progress,
    ask: Callable | None,
    read: Callable | None,
) -> None:
    while not loading.done():
        if progress.stop.wait(0.1):
            return
    try:
        predictor = loading.result()
    except Exception as error:  # missing or damaged weights, no memory
        logging.getLogger(__name__).error("no model: %s", type(error).__name__)
        progress.problem = getattr(error, "message", Message("no_model"))
        return
    progress.began = time.monotonic()
    row_of = partial(
        read_row,
        predictor=predictor,
        ask=partial(ask, progress.stop) if ask else _ask_alone,
        read=partial(read, progress.stop) if read else read_radiograph,
    )
    left, coming = iter(sources), deque[Future]()
    readers = ThreadPoolExecutor(READERS, thread_name_prefix="work-list")
    try:
        while not progress.stop.is_set():
            try:
                for source in islice(left, READERS - len(coming)):
                    coming.append(readers.submit(row_of, source))
            except RuntimeError:  # Python is ending
                return
            if not coming:
                return
            row = coming.popleft().result()
            if row.reasons and row.reasons[0].code == "stopping":
                return
            progress.rows.append(row)
    finally:
        readers.shutdown(cancel_futures=True)
