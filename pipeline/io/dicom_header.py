"""Elements of a data set as plain values: what is empty or makes no sense counts as absent.

Values are taken from the bytes as they stand: what pydicom makes of an odd optional element may
raise, and must not keep a radiograph from being read.
"""

import math
import struct

import numpy as np
import pydicom
from pydicom.datadict import dictionary_VR, tag_for_keyword

from pipeline.io import decode_limits

TEXTS = ("DS", "IS", "CS", "LO", "SH", "ST", "LT", "UC", "UI", "AE")
FLOATS = {"FL": "f", "FD": "d"}


class Header:
    """The elements of a data set, or of an item of a sequence.

    Raises TooMuch for an element that is larger than any that is needed.
    """

    def __init__(self, dataset: pydicom.Dataset):
        self._elements = {}
        for tag in list(dataset.keys()):
            element = dataset.get_item(tag)
            try:
                self._elements[int(tag)] = decode_limits.check_element(element)
            except decode_limits.TooMuch:
                raise
            except Exception:  # pydicom raises nearly anything on a damaged sequence
                continue

    def _element(self, keyword: str):
        return self._elements.get(int(tag_for_keyword(keyword)))

    def vr(self, keyword: str) -> str:
        """The value representation that the file states, or that of the dictionary."""
        element = self._element(keyword)
        stated = element.VR if element is not None else None
        return stated if stated and stated != "UN" else dictionary_VR(tag_for_keyword(keyword))

    def value(self, keyword: str) -> bytes:
        """The bytes of an element; none where it is absent."""
        value = getattr(self._element(keyword), "value", None)
        return value if isinstance(value, bytes) else b""

    def undefined_length(self, keyword: str) -> bool:
        return getattr(self._element(keyword), "length", 0) == 0xFFFFFFFF

    def items(self, keyword: str) -> list["Header"]:
        """The items of a sequence."""
        value = getattr(self._element(keyword), "value", None)
        return [Header(item) for item in value] if isinstance(value, pydicom.Sequence) else []

    def text(self, keyword: str) -> str:
        """The first value as it may be shown: ASCII, at most 64 characters (PS3.5 6.2, LO)."""
        first = self.value(keyword).split(b"\\")[0].decode("ascii", "ignore")
        return "".join(c for c in first if c.isprintable())[:64].strip()

    def codes(self, keyword: str) -> tuple[str, ...]:
        """Code strings, in capitals, of at most 16 characters each (PS3.5 6.2, CS)."""
        parts = self.value(keyword).decode("ascii", "ignore").split("\\")[:8]
        return tuple("".join(c for c in p if c.isprintable())[:16].strip().upper() for p in parts)

    def code(self, keyword: str) -> str:
        """The first of `codes`."""
        return self.codes(keyword)[0]

    def words(self, keyword: str) -> np.ndarray:
        """The bytes as unsigned words of 16 bits, in the file's order, uint16 (n,)."""
        data, element = self.value(keyword), self._element(keyword)
        little = getattr(element, "is_little_endian", True)
        data += bytes(len(data) % 2)
        return np.frombuffer(data, "<u2" if little else ">u2", len(data) // 2)

    def numbers(self, keyword: str) -> list[float | None]:
        """Each value of a number, None for one that is none; words of 16 bits are not signed."""
        kind = self.vr(keyword)
        if kind in TEXTS:
            return [_number(part) for part in self.value(keyword).split(b"\\")]
        if kind in FLOATS:
            order = "<" if getattr(self._element(keyword), "is_little_endian", True) else ">"
            layout = struct.Struct(order + FLOATS[kind])
            data = self.value(keyword)
            whole = data[: len(data) // layout.size * layout.size]
            values = (value for (value,) in layout.iter_unpack(whole))
            return [value if math.isfinite(value) else None for value in values]
        return [float(word) for word in self.words(keyword)]

    def number(self, keyword: str) -> float | None:
        """The first value of a number."""
        return next(iter(self.numbers(keyword)), None)

    def whole(self, keyword: str) -> int:
        """The same, where there must be one. Raises ValueError."""
        value = self.number(keyword)
        if value is None:
            raise ValueError(f"{keyword} is missing")
        return int(value)


def _number(text: bytes) -> float | None:
    try:
        value = float(text.strip(b" \0"))
    except ValueError:
        return None
    return value if math.isfinite(value) else None
