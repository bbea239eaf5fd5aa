"""The budget of memory: turns, shares, and films that come back after they were let go."""

import gc
import io
import resource
import struct
import threading
import zlib

import cv2
import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.phantom import EXAMPLES, draw_film
from pipeline.io.radiograph import read_radiograph
from pipeline.serving import budget, films
from pipeline.serving.budget import MEGABYTE, Budget
from pipeline.serving.queue import NoAnswer

DRAWN = cv2.imencode(".png", draw_film(EXAMPLES["clear"], 256)[0])[1].tobytes()


@pytest.fixture
def shared(monkeypatch) -> Budget:
    made = Budget(20 * MEGABYTE)
    monkeypatch.setattr(budget, "films", lambda: made)
    monkeypatch.setattr(films, "_recent", films.Recent())
    return made


def granted(place) -> bool:
    return place.granted.done() and not place.granted.cancelled()


def code_of(call, *arguments) -> str:
    with pytest.raises(NoAnswer) as caught:
        call(*arguments)
    return caught.value.message.code


def test_what_does_not_fit_waits_until_something_is_given_back():
    shared = Budget(100)
    first, second = shared.ask(60, "a"), shared.ask(60, "b")
    assert granted(first)
    assert not granted(second)
    first.shrink(40)
    assert granted(second)
    second.release()
    second.release()
    first.release()
    assert shared.used == 0


def test_what_never_fits_and_what_waits_too_long_are_sentences():
    shared = Budget(100)
    assert code_of(shared.ask, 101, "a") == "film_memory"
    shared.ask(100, "a")
    assert code_of(shared.at_once, 1, "b") == "no_room"
    assert code_of(shared.ask(1, "b").wait, 0.01) == "no_room"
    assert code_of(shared.ask(1, "b").wait, 60, lambda: True) == "no_room"


def test_a_party_that_has_its_share_lets_others_go_first():
    shared = Budget(100)
    greedy = [shared.ask(20, "greedy") for _ in range(5)]
    more = [shared.ask(20, "greedy") for _ in range(5)]
    reader = shared.ask(20, "reader")
    assert all(map(granted, greedy))  # nobody else was there
    greedy[0].release()
    assert granted(reader)
    assert not any(map(granted, more))


def test_a_large_one_is_not_overtaken_for_ever():
    shared = Budget(100)
    small = shared.ask(60, "small")
    large = shared.ask(90, "large")
    late = [shared.ask(10, f"{n}") for n in range(3)]
    assert not any(map(granted, [large, *late]))
    small.release()
    assert granted(large)
    assert granted(late[0])


def test_what_others_keep_counts():
    kept = [50]
    shared = Budget(100, lambda: kept[0])
    place = shared.ask(60, "a")
    assert not granted(place)
    kept[0] = 0
    assert place.wait(1) is place


sizes = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 100)), max_size=30)


@given(sizes, st.randoms())
def test_it_never_gives_more_than_there_is_and_forgets_nobody(asked, random):
    shared = Budget(100)
    places = [shared.ask(size, party) for party, size in asked]
    left = list(places)
    while left:
        assert shared.used <= 100
        assert any(map(granted, left)), "all wait, and nobody holds anything"
        done = random.choice([place for place in left if granted(place)])
        done.release()
        left.remove(done)
    assert shared.used == 0
    assert not shared._waiting


def test_a_film_counts_until_nobody_holds_it(shared):
    film = films.read(DRAWN, "a")
    assert shared.used == film.pixels.nbytes
    del film
    assert shared.used == 0


def test_what_is_no_film_gives_its_place_back(shared):
    with pytest.raises(ValueError, match="damaged or incomplete"):
        films.read(DRAWN[:500], "a")
    assert shared.used == 0


def test_a_held_film_is_its_file_and_its_pixels_come_back(shared):
    alone = read_radiograph(DRAWN)
    held = films.hold(DRAWN, "a")
    assert (held.sha256, held.shape, held.format) == (alone.sha256, alone.shape, "PNG")
    first = held.pixels
    assert held.pixels is first, "decoded once while somebody has them"
    films._recent.let_go()
    assert held.pixels is first
    del first
    films._recent.let_go()
    gc.collect()
    assert shared.used == 0
    np.testing.assert_array_equal(held.pixels, alone.pixels)


def test_kept_pixels_give_way_to_a_film_that_waits(shared):
    held = films.hold(DRAWN, "a")
    assert shared.used
    shared.ask(shared.total, "b").wait(2).release()
    assert held.pixels.shape == held.shape


def test_a_turned_film_is_held_as_what_it_was_made_of(shared):
    held = films.hold(DRAWN, "a")
    turned = films.derive(held, np.rot90, "a", sha256="turned")
    films._recent.let_go()
    np.testing.assert_array_equal(turned.pixels, np.rot90(read_radiograph(DRAWN).pixels))
    assert (turned.sha256, turned.format) == ("turned", "PNG")


def test_many_threads_decode_within_the_budget(shared):
    most, wrong = [0], []

    def work(party: str) -> None:
        for _ in range(5):
            try:
                film = films.read(DRAWN, party)
            except NoAnswer as error:
                wrong.append(error)
            most[0] = max(most[0], shared.used)
            del film

    threads = [threading.Thread(target=work, args=(f"{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong
    assert 0 < most[0] <= shared.total
    assert shared.used == 0


def flat_png(side: int) -> bytes:
    """A grey PNG that says little in many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        end = struct.pack(">L", zlib.crc32(kind + data))
        return struct.pack(">L", len(data)) + kind + data + end

    packer = zlib.compressobj(9)
    body = b"".join(packer.compress(b"\0" * (side + 1)) for _ in range(side)) + packer.flush()
    head = struct.pack(">LLBBBBB", side, side, 8, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", body), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_a_small_file_of_many_pixels_has_its_price():
    data = flat_png(8000)
    assert len(data) < 100_000
    assert budget.price(data) == MEGABYTE + 64_000_000 * budget.GREY
    assert budget.price(b"no film") == MEGABYTE


def source(film: np.ndarray, icon: tuple[int, int] | None = None) -> bytes:
    """A DICOM file of a film, or what a price looks at; with a small picture beside it."""
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset.Rows, dataset.Columns = film.shape
    if icon:
        small = pydicom.Dataset()
        small.Rows, small.Columns = icon
        dataset.IconImageSequence = [small]
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def test_the_price_of_a_dicom_film_cannot_be_hidden():
    film = np.zeros((500, 420), np.uint8)
    data = source(film)
    assert budget.price(data) == MEGABYTE + film.size * budget.OTHER
    hidden = data.replace(b"\x28\x00\x10\x00US", b"\x28\x00\x10\x00IS")
    assert budget.price(hidden) == MEGABYTE + budget.LARGEST * budget.OTHER
    assert budget.price(source(film, (9000, 3000))) > 20_000_000 * budget.OTHER


def test_decoding_takes_no_more_than_its_price():
    """SECURITY.md: "A film is decoded only when its memory is free"."""
    data = flat_png(4000)
    film = read_radiograph(data)
    assert film.pixels.nbytes <= budget.price(data)


def test_the_limit_is_the_containers(monkeypatch, tmp_path):
    monkeypatch.setattr(budget, "CGROUPS", tmp_path)
    whole = budget.memory_limit()
    (tmp_path / "memory.max").write_text("max\n")
    assert budget.memory_limit() == whole
    (tmp_path / "memory.max").write_text("4294967296\n")
    assert budget.memory_limit() == min(whole, 4 * 2**30)
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (10**9, -1))
    assert budget.memory_limit() == 10**9
