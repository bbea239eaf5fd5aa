"""Reading films within the server's budget of memory, and keeping them small.

A film that is kept is its file; its pixels are decoded again when they are asked for and nobody
has them any more.
"""

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np

from pipeline.io.radiograph import Radiograph, read_radiograph
from pipeline.serving import budget

PATIENCE = 30.0  # seconds that a film may wait for memory


class HeldRadiograph(Radiograph):
    """A `Radiograph` whose ``pixels`` are made when they are asked for.

    ``shape`` is known without them. A copy by `dataclasses.replace` is held in memory.
    """

    @classmethod
    def hold(cls, film: Radiograph, again: Callable[[], np.ndarray]) -> "HeldRadiograph":
        """Hold what ``again`` makes; ``film`` says the rest. Its own pixels are not kept."""
        held = object.__new__(cls)
        held.__dict__["_there"] = weakref.ref(film.pixels)
        _recent.keep(film.pixels)
        for one in fields(film):
            if one.name != "pixels":
                object.__setattr__(held, one.name, getattr(film, one.name))
        held.__dict__["_again"] = again
        held.__dict__["_shape"] = film.shape
        return held

    @property
    def pixels(self) -> np.ndarray:
        if "_pixels" in self.__dict__:
            return self.__dict__["_pixels"]
        array = self.__dict__["_there"]()
        if array is None:
            array = self.__dict__["_again"]()
            self.__dict__["_there"] = weakref.ref(array)
        _recent.keep(array)
        return array

    @pixels.setter
    def pixels(self, array: np.ndarray) -> None:
        self.__dict__["_pixels"] = array

    @property
    def shape(self) -> tuple[int, int]:
        array = self.__dict__.get("_pixels")
        return self.__dict__["_shape"] if array is None else array.shape


class Recent:
    """The pixels that were asked for last, at most ``share`` of the budget for films."""

    def __init__(self, share: float = 0.3):
        self._share = share
        # Arrays that end give their places back wherever they end, in here as well.
        self._lock = threading.RLock()
        self._arrays: OrderedDict[int, np.ndarray] = OrderedDict()

    def keep(self, array: np.ndarray) -> None:
        """Keep the array, and let go those that were not asked for the longest."""
        most = self._share * budget.films().total
        with self._lock:
            self._arrays[id(array)] = array
            self._arrays.move_to_end(id(array))
            while self._arrays and sum(a.nbytes for a in list(self._arrays.values())) > most:
                self._arrays.popitem(last=False)

    def let_go(self) -> None:
        """Keep nothing: the memory is needed."""
        with self._lock:
            self._arrays.clear()


_recent = Recent()


def read(data: bytes, party: str, given_up: Callable[[], bool] = lambda: False) -> Radiograph:
    """Decode a film in its turn. Its memory counts until nobody holds its pixels.

    Raises UnreadableRadiograph, or NoAnswer where there is no room for it.
    """
    return decode(data, ask(data, party).wait(PATIENCE, given_up))


def ask(data: bytes, party: str) -> budget.Place:
    """The place that a film needs while it is decoded, to be waited for. Raises NoAnswer."""
    shared = budget.films()
    shared.let_go = _recent.let_go
    return shared.ask(budget.price(data), party)


def decode(data: bytes, place: budget.Place) -> Radiograph:
    """Decode a film whose place has been granted, and keep the place with its pixels."""
    try:
        film = read_radiograph(data)
    except BaseException:
        place.release()
        raise
    place.shrink(film.pixels.nbytes)
    weakref.finalize(film.pixels, place.release)
    return film


def derive(film: Radiograph, make: Callable, party: str, **changes) -> HeldRadiograph:
    """A film made of another, held as that and ``make`` (its pixels to the new ones).

    ``changes``: other fields. Raises NoAnswer.
    """

    def again() -> np.ndarray:
        rows, columns = film.shape
        place = budget.films().ask(4 * rows * columns, party).wait(PATIENCE)
        try:
            # Its own array, whose end gives the place back.
            array = np.array(make(film.pixels), np.float32, order="C")
        except BaseException:
            place.release()
            raise
        weakref.finalize(array, place.release)
        return array

    return HeldRadiograph.hold(replace(film, pixels=again(), **changes), again)


def hold(data: bytes, party: str) -> HeldRadiograph:
    """Read a film to be kept for long: as its file. Raises as `read`."""
    return HeldRadiograph.hold(read(data, party), lambda: read(data, party).pixels)
