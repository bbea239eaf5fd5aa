"""How many bytes of films may be with this server at a time, and whose turn it is.

A weighted semaphore: whoever decodes, keeps or sends something first asks for a `Place` of so many
bytes, and gives it back. What does not fit waits, in turns between parties (a signed-in person, or
an address), so that a hundred films of one do not keep another waiting.
"""

import contextlib
import os
import resource
import threading
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError, wait
from functools import cache
from pathlib import Path

from PIL import Image

from pipeline.io import decode_limits
from pipeline.serving import telemetry
from pipeline.serving.queue import NoAnswer
from pipeline.serving.settings import read_settings

MEGABYTE = 1_000_000
SHARE = 0.25  # of a budget that one party may hold while others wait
WAITING = 256  # places that may be waited for
CGROUPS = Path("/sys/fs/cgroup")
GREY, OTHER = 7, 16  # bytes per pixel while a film is decoded, see `pipeline.io.radiograph`
LARGEST = 30_000_000  # pixels of what does not say how many it has
ROWS, COLUMNS = b"\x28\x00\x10\x00", b"\x28\x00\x11\x00"  # (0028,0010) and (0028,0011)


class Place:
    """So many bytes of a `Budget`, from `Budget.ask` until `release`."""

    def __init__(self, budget: "Budget", size: int, party: str):
        self._budget = budget
        self.size, self.party = size, party
        self.granted: Future = Future()

    def wait(self, seconds: float, given_up: Callable[[], bool] = lambda: False) -> "Place":
        """Wait until the bytes are free. Raises NoAnswer after so long, or once ``given_up``."""
        left = seconds
        while not self.granted.done() and left > 0 and not given_up():
            wait([self.granted], min(0.2, left))
            left -= 0.2
            self._budget.look()
        if not self.granted.done():
            self._budget.leave(self)  # unless the bytes have come this moment
        if self.granted.cancelled():
            telemetry.count_refused("no_room")
            raise NoAnswer("no_room")
        return self

    def look(self) -> None:
        """Ask whether the bytes have come free."""
        self._budget.look()

    def shrink(self, size: int) -> None:
        """Give back all but ``size`` bytes."""
        self._budget.change(self, min(size, self.size))

    def release(self) -> None:
        """Give the bytes back, or wait for them no longer; a second time does nothing."""
        self._budget.give_back(self)

    def __enter__(self) -> "Place":
        return self

    def __exit__(self, *_) -> None:
        self.release()


class Budget:
    """``total`` bytes. ``counted``: bytes that others keep and that count here, too."""

    def __init__(self, total: int, counted: Callable[[], int] = lambda: 0):
        self.total, self.counted = total, counted
        self.let_go: Callable[[], None] = lambda: None  # what is kept for convenience
        self._lock = threading.RLock()
        self._waiting: dict[str, deque[Place]] = {}  # in the order of their turn
        self._held: Counter[str] = Counter()

    @property
    def used(self) -> int:
        """Bytes that are given out or counted."""
        return self._held.total() + self.counted()

    def ask(self, size: int, party: str) -> Place:
        """A place in the queue for ``size`` bytes, to be waited for.

        Raises NoAnswer where no film so large can be read here, or very many wait already.
        """
        if size > self.total:
            telemetry.count_refused("film_memory")
            megabytes = -(-size // MEGABYTE)
            raise NoAnswer("film_memory", megabytes=megabytes, most=self.total // MEGABYTE)
        place = Place(self, size, party)
        with self._lock:
            if sum(map(len, self._waiting.values())) >= WAITING:
                telemetry.count_refused("no_room")
                raise NoAnswer("no_room")
            self._waiting.setdefault(party, deque()).append(place)
            self._give()
        return place

    def at_once(self, size: int, party: str) -> Place:
        """The place, if the bytes are free. Raises NoAnswer."""
        return self.ask(size, party).wait(0)

    def look(self) -> None:
        """Give out what ``counted`` no longer takes, and ask for room where that is too little."""
        with self._lock:
            self._give()
            pressed = bool(self._waiting)
        if pressed:
            self.let_go()

    def change(self, place: Place, size: int) -> None:
        """Take a place's size for another. `Place` calls it."""
        with self._lock:
            if place.granted.done() and not place.granted.cancelled() and place.size:
                self._held[place.party] += size - place.size
                place.size = size
                if not self._held[place.party]:
                    del self._held[place.party]
            self._give()

    def leave(self, place: Place) -> None:
        """Take a place that waits out of its turn. `Place` calls it."""
        with self._lock:
            mine = self._waiting.get(place.party, deque())
            if place in mine:
                mine.remove(place)
                if not mine:
                    del self._waiting[place.party]
                place.granted.cancel()

    def give_back(self, place: Place) -> None:
        """End a place. `Place` calls it."""
        with self._lock:
            self.leave(place)
            self.change(place, 0)

    def _give(self) -> None:
        """Give bytes to those whose turn it is; nobody overtakes one who only lacks room."""
        while (party := self._next()) is not None:
            places = self._waiting[party]
            if self.used + places[0].size > self.total:
                return
            place = places.popleft()
            del self._waiting[party]
            if places:
                self._waiting[party] = places  # at the end: the others come first
            self._held[party] += place.size
            with contextlib.suppress(InvalidStateError):
                place.granted.set_result(None)

    def _next(self) -> str | None:
        """The first party that holds less than its share, or else the first at all."""
        parties = list(self._waiting)
        for party in parties:
            mine = self._held[party]
            if not mine or mine + self._waiting[party][0].size <= SHARE * self.total:
                return party
        return parties[0] if parties else None


def memory_limit() -> int:
    """Bytes that this process may use: the container's limit, its own, or the machine's memory."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    limits += [soft for soft in (resource.getrlimit(resource.RLIMIT_AS)[0],) if soft > 0]
    for folder, name in _cgroups():
        with contextlib.suppress(OSError, ValueError):  # "max": none
            limits.append(int((folder / name).read_text()))
    return min(limits)


def _cgroups() -> list[tuple[Path, str]]:
    """Where this process's limits may stand: version 2 and version 1, inside or outside of a
    container's own view."""
    found = [(CGROUPS, "memory.max"), (CGROUPS / "memory", "memory.limit_in_bytes")]
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _number, kinds, path = line.split(":", 2)
            if not kinds:
                found.append((CGROUPS / path.lstrip("/"), "memory.max"))
            elif "memory" in kinds.split(","):
                found.append((CGROUPS / "memory" / path.lstrip("/"), "memory.limit_in_bytes"))
    return found


@cache
def _shares() -> dict[str, Budget]:
    """The one budget, in three parts, so that what is being sent never waits for what waits."""
    asked = read_settings().memory * MEGABYTE
    total = asked or memory_limit() // 3
    return {
        "films": Budget(int(0.6 * total)),
        "bodies": Budget(int(0.2 * total)),
        "files": Budget(int(0.2 * total)),
    }


def films() -> Budget:
    """Of films that are decoded, from before that until they are let go."""
    return _shares()["films"]


def bodies() -> Budget:
    """Of requests whose bodies are coming in or wait."""
    return _shares()["bodies"]


def files() -> Budget:
    """Of files that pages were given and work lists keep."""
    return _shares()["files"]


def price(data: bytes) -> int:
    """Bytes that decoding a film may take, by what its header says; 1 MB for what is none."""
    try:
        pixels, each = _claimed(data)
    except Exception:  # not readable, and refused in a moment
        pixels, each = 0, 0
    return MEGABYTE + pixels * each


def _claimed(data: bytes) -> tuple[int, int]:
    """Pixels, and bytes for each."""
    if data[128:132] == b"DICM" or data[:2] in (b"\x02\x00", b"\x08\x00"):
        return _of_dicom(data), OTHER
    decode_limits.check_picture(data)
    with Image.open(decode_limits.Bounded(data)) as image:
        grey = image.mode in ("1", "L") or image.mode.startswith("I;16")
        return image.width * image.height, GREY if grey else OTHER


def _of_dicom(data: bytes) -> int:
    """Rows times columns, the largest where there are several; `LARGEST` where one is hidden."""
    found = []
    for tag in (ROWS, COLUMNS):
        values = [0]
        start = data.find(tag)
        while start >= 0:
            element = data[start : start + 10]
            short = element[4:8] in (b"US\x02\x00", b"\x02\x00\x00\x00")
            values.append(int.from_bytes(element[8:10], "little") if short else LARGEST)
            start = data.find(tag, start + 4)
        found.append(max(values))
    pixels = found[0] * found[1]
    return pixels if 0 < pixels <= LARGEST else LARGEST
