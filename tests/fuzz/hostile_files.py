"""Feed damaged films to everything that decodes, in a process with limits.

    python -m tests.fuzz.hostile_files --files 20000 --seed 1
    python -m tests.fuzz.hostile_files --seed 1 --index 4711 --save film.bin

A file is remade from seed and index alone, with the same versions of Pillow and pydicom. A worker
reads it as the app does. It fails when the worker dies, computes longer than the limit, grows by
more than the limit since it started, or answers with anything but a film in order or a sentence
that `pipeline.text.messages` documents. Exit status 1 when any did.
"""

import argparse
import contextlib
import json
import os
import resource
import selectors
import signal
import struct
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.fuzz.hostile.archives import damaged
from tests.fuzz.hostile.seeds import FORMATS, seeds

KINDS = list(FORMATS)
MEGABYTE = 2**20
GROWTH_MB = 512
ADDRESSES_MB = 4096  # beyond the growth that is allowed: protects the machine, proves nothing
PATIENCE = 120  # seconds by the clock, for a worker that waits instead of computing


@dataclass(frozen=True)
class Answer:
    """What became of one file.

    ``outcomes``: for each film in it "read" or a message's code. ``failure``: empty, or what went
    wrong. ``cpu``: seconds. ``grown``: MB, the largest growth since the worker started.
    """

    outcomes: tuple[str, ...] = ()
    failure: str = ""
    cpu: float = 0.0
    grown: float = 0.0


def made(seed: int, index: int) -> tuple[str, bytes]:
    """The kind and the bytes of one damaged file."""
    kind = KINDS[index % len(KINDS)]
    return kind, damaged(np.random.default_rng([seed, index]), kind)


# -- the worker -------------------------------------------------------------------------------


def work() -> None:
    """Read files from standard input, each after its length, and answer with a line of JSON."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a codec prints must not look like an answer
    for kind in KINDS:
        for data in seeds(kind):
            _outcomes(data)
    before = psutil.Process().memory_info()
    addresses = before.vms + ADDRESSES_MB * MEGABYTE
    resource.setrlimit(resource.RLIMIT_AS, (addresses, addresses))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers.write("ready\n")
    answers.flush()
    while head := sys.stdin.buffer.read(8):
        data = sys.stdin.buffer.read(struct.unpack("<Q", head)[0])
        start = time.process_time()
        outcomes, failure = _outcomes(data)
        answer = {
            "outcomes": outcomes,
            "failure": failure,
            "cpu": time.process_time() - start,
            "grown": (_peak() - before.rss) / MEGABYTE,
        }
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _peak() -> int:
    """Most bytes that this process ever held; getrusage would count its parent's, too."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def _outcomes(data: bytes) -> tuple[list[str], str]:
    from pipeline.io.radiograph import UnreadableRadiograph, read_radiograph
    from pipeline.serving.worklist import gather

    outcomes = []
    try:
        for source in gather([("dropped", data)])[0]:
            try:
                _check(read_radiograph(source.read()))
                outcomes.append("read")
            except UnreadableRadiograph as error:
                _check_refusal(error)
                outcomes.append(error.message.code)
    except BaseException as error:  # whatever escapes is what this looks for
        return outcomes, f"{type(error).__name__}: {error}"[:200]
    return outcomes, ""


def _check(radiograph) -> None:
    from pipeline.io.radiograph import MAX_MEGAPIXELS, MIN_SIDE

    pixels = radiograph.pixels
    assert pixels.ndim == 2 and pixels.dtype == np.float32, f"{pixels.dtype} {pixels.shape}"
    assert min(pixels.shape) >= MIN_SIDE and pixels.size <= MAX_MEGAPIXELS * 1_000_000, "size"
    assert pixels.min() >= 0 and pixels.max() <= 255, "pixels outside 0..255, or undefined"
    assert 1 <= radiograph.bits <= 32, f"{radiograph.bits} bits"
    for note in radiograph.notes:
        assert note.sentence().isprintable(), f"unfit to be shown: {note.sentence()[:90]!r}"
    for text in (radiograph.format, radiograph.projection, radiograph.body_part):
        assert len(text) <= 16 and text.isprintable(), f"unfit to be shown: {text[:40]!r}"


def _check_refusal(error) -> None:
    sentence = error.message.sentence()
    assert len(sentence) < 300 and sentence.isprintable(), f"unfit to be shown: {sentence[:90]!r}"
    while error := error.__cause__ or error.__context__:
        assert not isinstance(error, MemoryError), "asked for more memory than there is"


# -- the runner -------------------------------------------------------------------------------


class Worker:
    """A process that reads films; a new one takes over when it died or was stopped."""

    command = ("-m", "tests.fuzz.hostile_files", "--worker")

    def __init__(self, seconds: float, errors: int = subprocess.DEVNULL):
        self.seconds, self.errors, self.process = seconds, errors, None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def read(self, data: bytes) -> Answer:
        """What becomes of these bytes; returns within the limits whatever they do."""
        if self.process is None:
            self._start()
        cpu = self._cpu()
        try:
            self.process.stdin.write(struct.pack("<Q", len(data)) + data)
            self.process.stdin.flush()
            line = self._line(cpu)
        except TimeoutError as error:
            self.stop()
            return Answer(failure=str(error))
        except OSError:
            line = b""
        if not line:
            code = self.process.wait()
            self.stop()
            name = signal.Signals(-code).name if code < 0 else f"status {code}"
            return Answer(failure=f"crash: {name}")
        answer = Answer(**json.loads(line))
        failure = answer.failure
        if answer.cpu > self.seconds:
            failure = failure or f"hang: {answer.cpu:.1f} s"
        if answer.grown > GROWTH_MB:
            self.stop()
            failure = failure or f"growth: {answer.grown:.0f} MB"
        return Answer(tuple(answer.outcomes), failure, answer.cpu, answer.grown)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            with contextlib.suppress(BrokenPipeError):  # what it did not read is flushed
                self.process.stdin.close()
            self.process.stdout.close()
            self.process.wait()
            self.process = None

    def _start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *self.command],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
        )
        self.watched = psutil.Process(self.process.pid)
        if self.process.stdout.readline() != b"ready\n":
            raise RuntimeError("the worker does not start: run it with --worker to see why")

    def _cpu(self) -> float:
        times = self.watched.cpu_times()
        return times.user + times.system

    def _line(self, cpu: float) -> bytes:
        """The worker's answer, empty when it died. Computing is timed, not waiting."""
        end = time.monotonic() + PATIENCE
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while not selector.select(0.1):
                with contextlib.suppress(psutil.Error):
                    if self._cpu() - cpu > self.seconds + 0.1:
                        raise TimeoutError(f"hang: stopped after {self.seconds:g} s")
                if time.monotonic() > end:
                    raise TimeoutError(f"hang: no answer in {PATIENCE} s")
        return self.process.stdout.readline()


class Tally:
    """What came out, per format."""

    def __init__(self):
        self.files, self.outcomes = Counter(), {kind: Counter() for kind in KINDS}
        self.failures: list[str] = []
        self.cpu, self.grown = Counter(), Counter()

    def add(self, kind: str, name: str, answer: Answer) -> None:
        self.files[kind] += 1
        self.outcomes[kind].update(answer.outcomes)
        self.cpu[kind] = max(self.cpu[kind], answer.cpu)
        self.grown[kind] = max(self.grown[kind], answer.grown)
        if answer.failure:
            self.failures.append(f"{name} {kind} {answer.failure}")

    def table(self) -> str:
        lines = [f"{'format':7}{'files':>7}{'read':>7}{'s':>6}{'MB':>5}  refused"]
        for kind in KINDS:
            codes = self.outcomes[kind]
            refused = ", ".join(f"{code} {n}" for code, n in codes.most_common() if code != "read")
            lines.append(
                f"{kind:7}{self.files[kind]:7}{codes['read']:7}{self.cpu[kind]:6.1f}"
                f"{self.grown[kind]:5.0f}  {refused}"
            )
        return "\n".join([*lines, *self.failures, f"{len(self.failures)} failures"])


def run(files: int, seed: int, seconds: float, first: int = 0, workers: int = 1) -> Tally:
    """Make and read files ``first`` to ``first + files``."""
    tally = Tally()

    def share(offset: int) -> None:
        with Worker(seconds) as worker:
            for index in range(first + offset, first + files, workers):
                kind, data = made(seed, index)
                tally.add(kind, f"seed {seed} index {index}", worker.read(data))
                if len(tally.failures) > 200:
                    return

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(share, range(workers)))
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0, help="index of the first file")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=2.0, help="of computing, per file")
    parser.add_argument("--workers", type=int, choices=(1, 2), default=1)
    parser.add_argument("--index", type=int, help="remake and read this one file only")
    parser.add_argument("--save", type=Path, help="write the file of --index here")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work()
        return 0
    if options.index is not None:
        kind, data = made(options.seed, options.index)
        if options.save:
            options.save.write_bytes(data)
        with Worker(options.seconds, sys.stderr.fileno()) as worker:
            answer = worker.read(data)
        print(kind, len(data), "bytes:", answer)
        return bool(answer.failure)
    tally = run(options.files, options.seed, options.seconds, options.first, options.workers)
    print(tally.table())
    return bool(tally.failures)


if __name__ == "__main__":
    sys.exit(main())
