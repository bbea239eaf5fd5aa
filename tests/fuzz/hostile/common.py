"""Numbers that programs trip over, and ways to damage any bytes.

A mutation takes one numpy Generator and the bytes of a file, and gives other bytes. It may meet a
file that another one has damaged already: then it may raise, and the file stays as it is.
"""

import struct
from collections.abc import Callable

import numpy as np

from tests.fuzz.hostile.seeds import FORMATS, seeds

Mutation = Callable[[np.random.Generator, bytes], bytes]
SMALL = [0, 1, 2, 3, 4, 7, 8, 9, 12, 15, 16, 17, 31, 32, 33, 63, 64, 100, 127, 128, 255]
LARGE = [256, 1000, 4096, 8000, 30_000, 32_767, 32_768, 60_000, 65_534, 65_535, 65_536]
HUGE = [2**20, 2**24, 2**27, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1]
LONGEST = 1_000_000  # bytes that a mutation may add to a film
LARGEST = 30_000_000  # bytes of any film


def number(rng: np.random.Generator, bits: int) -> int:
    """An unsigned number of so many bits, mostly one that programs trip over."""
    kind = rng.integers(4)
    if kind == 0:
        return int(rng.integers(2**bits, dtype=np.uint64))
    return int(rng.choice([SMALL, LARGE, HUGE][kind - 1])) % 2**bits


def chosen(rng: np.random.Generator, options):
    return options[rng.integers(len(options))]


def patched(data: bytes, offset: int, layout: str, *values) -> bytes:
    changed = bytearray(data)
    struct.pack_into(layout, changed, offset, *values)
    return bytes(changed)


def rearranged(rng: np.random.Generator, parts: list) -> list:
    """The parts of a file with one moved, doubled, left out or repeated many times."""
    parts = list(parts)
    here, there = rng.integers(len(parts), size=2)
    kind = rng.integers(5)
    if kind == 0:
        parts[here], parts[there] = parts[there], parts[here]
    elif kind == 1:
        parts.insert(there, parts[here])
    elif kind == 2:
        del parts[here]
    elif kind == 3:
        parts.insert(there, parts.pop(here))
    else:
        times = min(int(10 ** rng.uniform(1, 5)), LONGEST // (len(str(parts[here])) + 12))
        parts[here:here] = [parts[here]] * times
    return parts


def flip(rng, data):
    changed = bytearray(data)
    for place in rng.integers(len(data), size=rng.integers(1, 9)):
        changed[place] ^= 1 << rng.integers(8)
    return bytes(changed)


def overwrite(rng, data):
    """A number that programs trip over, in any width and byte order, most often near the head."""
    width = int(rng.choice([1, 2, 4]))
    reach = max(1, min(len(data), int(10 ** rng.uniform(1, 5))) - width)
    value = number(rng, 8 * width).to_bytes(width, str(rng.choice(["little", "big"])))
    place = int(rng.integers(reach))
    return data[:place] + value + data[place + width :]


def cut(rng, data):
    return data[: rng.integers(len(data))]


def drop(rng, data):
    start = int(rng.integers(len(data)))
    return data[:start] + data[start + int(rng.integers(1, 64)) :]


def splice(rng, data):
    """The head of one film with the tail of another, perhaps of another format."""
    other = chosen(rng, seeds(chosen(rng, list(FORMATS)[:-1])))
    return data[: rng.integers(len(data))] + other[rng.integers(len(other)) :]


def repeat(rng, data):
    start, length = int(rng.integers(len(data))), int(10 ** rng.uniform(0, 3))
    part = data[start : start + length]
    return data[:start] + part * int(10 ** rng.uniform(0, 3)) + data[start:]


def noise(rng, data):
    start = int(rng.integers(len(data)))
    junk = rng.bytes(int(rng.integers(1, 200)))
    return data[:start] + junk + data[start + len(junk) :]


ANY: list[Mutation] = [flip, overwrite, cut, drop, splice, repeat, noise]
