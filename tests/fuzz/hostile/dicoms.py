"""Ways to damage DICOM that know its elements, sequences, fragments and frames."""

import struct
import zlib

from tests.fuzz.hostile.common import (
    ANY,
    chosen,
    cut,
    drop,
    flip,
    noise,
    number,
    overwrite,
    patched,
    rearranged,
    repeat,
)
from tests.fuzz.hostile.pictures import jpeg_extra, jpeg_frame, jpeg_order, jpeg_segment
from tests.fuzz.hostile.seeds import UIDS

LONG_VRS = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT")
VRS = [*LONG_VRS, b"US", b"UV", b"SS", b"DS", b"IS", b"CS", b"LO", b"PN", b"AT", b"FD", b"ZZ"]
UNDEFINED = 0xFFFFFFFF
NUMBERS = (0x00280002, 0x00280006, 0x00280008, 0x00280010, 0x00280011, 0x00280100, 0x00280101)
NUMBERS += (0x00280102, 0x00280103, 0x00280120, 0x00280121)
TEXTS = (0x00080005, 0x00080060, 0x00180015, 0x00185101, 0x00280004, 0x00281050, 0x00281051)
TEXTS += (0x00281052, 0x00281053, 0x00281054, 0x00281056)
TABLES = (0x00283000, 0x00283010)
HOSTILE_TEXT = [b"", b"NaN", b"inf", b"-inf", b"1e400", b"1e38", b"-1", b"0", b"0\\0\\0", b"1e-320"]
HOSTILE_TEXT += [
    b"\xff\xfe\0",
    b"x" * 60_000,
    b"1\\" * 20_000,
    b"DX\0",
    b"\\",
    b"{modality}",
    b"9" * 400,
]
HOSTILE_TEXT += [b"ISO 2022 IR 87\\ISO_IR 192", b"SIGMOID", b"LINEAR_EXACT", b"MONOCHROME1"]

Element = tuple[int, bytes, bytes, int]  # tag, VR, value, length as it is written


def dicom_parts(data: bytes) -> tuple[bytes, list[Element], list[Element]]:
    """Preamble, meta and other elements of a file in explicit VR, little endian."""
    elements, place = [], 132
    while place + 8 <= len(data):
        group, element, vr, length = struct.unpack_from("<HH2sH", data, place)
        place += 8
        if vr in LONG_VRS:
            (length,) = struct.unpack_from("<I", data, place)
            place += 4
        end = len(data) if length == UNDEFINED else place + length
        if not vr.isalpha() or end > len(data):
            raise ValueError("not in explicit VR, little endian")
        elements.append((group << 16 | element, vr, data[place:end], length))
        place = end
    meta = [element for element in elements if element[0] >> 16 == 2]
    return data[:132], meta, elements[len(meta) :]


def dicom_element(element: Element, syntax: str = "explicit") -> bytes:
    tag, vr, value, length = element
    order = ">" if syntax == "big" else "<"
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    if syntax == "implicit":
        return head + struct.pack("<I", length) + value
    if vr in LONG_VRS:
        return head + vr + struct.pack(order + "HI", 0, length) + value
    return head + vr + struct.pack(order + "H", min(length, 0xFFFF)) + value


def dicom_of(preamble, meta, elements, syntax: str = "explicit") -> bytes:
    body = b"".join(dicom_element(element, syntax) for element in elements)
    if syntax == "deflated":
        packer = zlib.compressobj(wbits=-15)
        body = packer.compress(body) + packer.flush()
    return preamble + b"".join(dicom_element(element) for element in meta) + body


def valued(tag: int, vr: bytes, value: bytes) -> Element:
    return tag, vr, value, len(value)


def with_element(elements: list[Element], new: Element) -> list[Element]:
    return sorted([e for e in elements if e[0] != new[0]] + [new], key=lambda e: e[0])


def dicom_order(rng, data):
    preamble, meta, elements = dicom_parts(data)
    if meta and rng.integers(5) == 0:
        meta = rearranged(rng, meta)
    else:
        elements = rearranged(rng, elements)
    return dicom_of(preamble, meta, elements)


def dicom_number(rng, data):
    """Rows, columns, depth, sign, samples, frames, padding."""
    preamble, meta, elements = dicom_parts(data)
    for tag in rng.choice(NUMBERS, size=rng.integers(1, 4)).tolist():
        if tag == 0x00280008:
            new = valued(tag, b"IS", str(number(rng, 32)).encode())
        else:
            new = valued(tag, b"US", struct.pack("<H", number(rng, 16)))
        elements = with_element(elements, new)
    return dicom_of(preamble, meta, elements)


def dicom_text(rng, data):
    """Modality, projection, window, rescaling, character set: numbers and texts that are none."""
    preamble, meta, elements = dicom_parts(data)
    for tag in rng.choice(TEXTS, size=rng.integers(1, 4)).tolist():
        vr = b"CS" if tag < 0x00281000 else b"DS"
        value = chosen(rng, HOSTILE_TEXT)
        elements = with_element(elements, valued(tag, vr, value + b" " * (len(value) % 2)))
    return dicom_of(preamble, meta, elements)


def dicom_field(rng, data):
    """One element with another tag, VR, length or value."""
    preamble, meta, elements = dicom_parts(data)
    part = meta if meta and rng.integers(4) == 0 else elements
    which = int(rng.integers(len(part)))
    tag, vr, value, length = part[which]
    kind = rng.integers(5)
    if kind == 0:
        tag = chosen(rng, [*NUMBERS, *TEXTS, *TABLES, number(rng, 32)])
    elif kind == 1:
        vr = chosen(rng, VRS)
    elif kind == 2:
        length = chosen(rng, [UNDEFINED, length + 1, length - 1 if length else 0, number(rng, 32)])
    else:
        value = chosen(rng, ANY)(rng, value) if value else rng.bytes(9)
        length = len(value)
    part[which] = tag, vr, value, length
    return dicom_of(preamble, meta, elements)


def dicom_syntax(rng, data):
    """A transfer syntax that is not the one the file is written in, or both changed alike."""
    preamble, meta, elements = dicom_parts(data)
    name = chosen(rng, list(UIDS))
    uid = chosen(rng, [UIDS[name].encode(), UIDS[name].encode(), b"1.2.3", b"x" * 70, b""])
    meta = with_element(meta, valued(0x00020010, b"UI", uid + bytes(len(uid) % 2)))
    return dicom_of(preamble, meta, elements, chosen(rng, [name, "explicit"]))


def dicom_table(rng, data):
    """Lookup tables whose descriptor, entries or number lie."""
    preamble, meta, elements = dicom_parts(data)
    entries = number(rng, 16)
    descriptor = struct.pack("<HHH", *(number(rng, 16) for _ in range(3)))
    content = dicom_element(valued(0x00283002, chosen(rng, [b"US", b"SS", b"OW"]), descriptor))
    table = bytes(min(entries * 2, 60_000))
    content += dicom_element(valued(0x00283006, chosen(rng, [b"OW", b"US", b"UN"]), table))
    item = struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content
    items = item * int(10 ** rng.uniform(0, 1.2))
    new = valued(chosen(rng, TABLES), chosen(rng, [b"SQ", b"SQ", b"UN"]), items)
    return dicom_of(preamble, meta, with_element(elements, new))


def dicom_deep(rng, data):
    """Sequences in sequences, thousands deep; lengths defined or not."""
    preamble, meta, elements = dicom_parts(data)
    depth = int(10 ** rng.uniform(1, 4))
    tag = chosen(rng, [*TABLES, 0x00400275, 0x00091010])
    open_item = struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED)
    nested = dicom_element((tag, b"SQ", open_item, UNDEFINED)) * depth
    if rng.integers(2):
        nested += b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0" * depth
    new = chosen(rng, [valued(tag, b"SQ", nested[12:]), (tag, b"SQ", nested[12:], UNDEFINED)])
    return dicom_of(preamble, meta, with_element(elements, new))


def dicom_long(rng, data):
    """A sequence of very many items, or very many elements."""
    preamble, meta, elements = dicom_parts(data)
    amount = int(10 ** rng.uniform(2, 5))
    tag = chosen(rng, [*TABLES, 0x00400275, 0x00091010])
    element = dicom_element(valued(0x00090010, b"LO", b""))
    contents = [
        b"\xfe\xff\x00\xe0\0\0\0\0" * amount,
        b"\xfe\xff\x00\xe0\xff\xff\xff\xff\xfe\xff\x0d\xe0\0\0\0\0" * (amount // 2),
        b"\xfe\xff\x00\xe0" + struct.pack("<I", 8 * amount) + element * amount,
        b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + element * amount,
    ]
    value = chosen(rng, contents)
    length = chosen(rng, [len(value), UNDEFINED])
    if rng.integers(4):
        elements = with_element(elements, (tag, chosen(rng, [b"SQ", b"UN"]), value, length))
        return dicom_of(preamble, meta, elements)
    fillers = [valued(0x00090000 + i % 0x10000, b"LO", b"") for i in range(amount)]
    return dicom_of(preamble, meta, [*elements[:3], *fillers, *elements[3:]])


def dicom_fragments(rng, data):
    """The pixels' fragments: moved, split, their lengths and their table of offsets changed."""
    preamble, meta, elements = dicom_parts(data)
    tag, vr, value, length = elements[-1]
    fragments, place = [], 0
    while place + 8 <= len(value):
        (size,) = struct.unpack_from("<I", value, place + 4)
        fragments.append(value[place : place + 8 + size])
        place += 8 + size
    kind = rng.integers(4)
    if kind == 0:
        fragments = rearranged(rng, fragments)
    elif kind == 1:
        which = int(rng.integers(len(fragments)))
        fragments[which] = patched(fragments[which], 4, "<I", number(rng, 32))
    elif kind == 2:
        offsets = struct.pack("<I", number(rng, 32)) * int(10 ** rng.uniform(0, 3))
        fragments[0] = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(offsets)) + offsets
    else:
        body, size = fragments[1][8:], int(rng.integers(1, 60))
        parts = [body[i : i + size] for i in range(0, len(body), size)]
        split = [b"\xfe\xff\x00\xe0" + struct.pack("<I", len(part)) + part for part in parts]
        fragments[1:2] = split
    elements[-1] = tag, vr, b"".join(fragments), length
    return dicom_of(preamble, meta, elements)


def dicom_stream(rng, data):
    """The compressed frame itself: its header's sizes, its segments, its bits."""
    preamble, meta, elements = dicom_parts(data)
    tag, vr, value, length = elements[-1]
    (offsets,) = struct.unpack_from("<I", value, 4)
    (size,) = struct.unpack_from("<I", value, 12 + offsets)
    start = 16 + offsets
    frame = value[start : start + size]
    if frame[:2] == b"\xff\xd8":
        tools = [jpeg_frame, jpeg_frame, jpeg_segment, jpeg_order, jpeg_extra, flip, noise, cut]
    else:  # JPEG 2000 and RLE have their sizes in the first hundred bytes
        tools = [near_head, near_head, flip, overwrite, noise, cut, drop, repeat]
    frame = chosen(rng, tools)(rng, frame)
    frame += bytes(len(frame) % 2)
    value = value[: start - 4] + struct.pack("<I", len(frame)) + frame + value[start + size :]
    elements[-1] = tag, vr, value, length
    return dicom_of(preamble, meta, elements)


def near_head(rng, data):
    """A number in the first 120 bytes, big-endian as in JPEG 2000."""
    width = int(rng.choice([1, 2, 4]))
    place = int(rng.integers(min(120, len(data)) - width))
    return data[:place] + number(rng, 8 * width).to_bytes(width) + data[place + width :]


DICOM = [
    dicom_order,
    dicom_number,
    dicom_text,
    dicom_field,
    dicom_syntax,
    dicom_table,
    dicom_deep,
    dicom_long,
    dicom_fragments,
    dicom_stream,
    dicom_stream,
]
