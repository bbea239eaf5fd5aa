"""What has been screened and what is left: files that are whole or not there. Knows nothing of Ray.

    <out>/run.json            what the answers depend on
    <out>/parts/*.parquet     one a shard, a row for every file of it
    <out>/masks/*.png         lung masks, if asked for
    <out>/summary.html

A shard's file is written beside its place and renamed, so a process that is killed leaves nothing
half done: its shard is not there, and the next run lists its files again.
"""

import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

SCHEMA = pa.schema(
    [
        ("file", pa.string()),
        ("sha256", pa.string()),
        ("status", pa.string()),
        ("reasons", pa.list_(pa.string())),
        ("model", pa.string()),
        ("weights_sha256", pa.string()),
        ("gate_sha256", pa.string()),
        ("covid_probability", pa.float32()),
        ("threshold", pa.float32()),
        ("positive", pa.bool_()),
        ("triage", pa.string()),
        ("lung_area_fraction", pa.float32()),
        ("seconds", pa.float32()),
        ("scanner", pa.string()),
        ("month", pa.string()),
        ("mask", pa.string()),
    ]
)


class Run:
    """The folder of a run. ``settings``: what its answers depend on, plain values.

    Raises ValueError where the folder holds a run with other settings, or one at all without
    ``resume``.
    """

    def __init__(self, folder: Path, settings: dict[str, Any], resume: bool):
        self.folder, self.settings = folder, settings
        self.started = secrets.token_hex(8)
        about = folder / "run.json"
        if about.is_file():
            if not resume:
                raise ValueError(f"{folder} holds a run: add --resume to go on with it.")
            if json.loads(about.read_text(encoding="utf-8")) != settings:
                raise ValueError(
                    f"{folder} holds a run of another source, model or threshold, see its "
                    "run.json: screen into another folder."
                )
        (folder / "parts").mkdir(parents=True, exist_ok=True)
        for left_over in (folder / "parts").glob("*.begun"):
            left_over.unlink()
        _replace(about, json.dumps(settings, indent=1).encode())

    @property
    def parts(self) -> list[Path]:
        return sorted((self.folder / "parts").glob("*.parquet"))

    def finished(self) -> set[str]:
        """The files that have a row."""
        done: set[str] = set()
        for part in self.parts:
            done.update(pq.read_table(part, columns=["file"])["file"].to_pylist())
        return done

    def left(self, files: Iterable[str], size: int) -> Iterator[list[str]]:
        """Shards of at most so many files that have no row yet."""
        done = self.finished()
        waiting = (file for file in dict.fromkeys(files) if file not in done)
        while shard := list(islice(waiting, size)):
            yield shard

    def write(self, shard: list[str], rows: list[dict[str, Any]]) -> None:
        """A shard's rows, one a file. Raises ValueError where a file has none or two."""
        if sorted(row["file"] for row in rows) != sorted(shard):
            raise ValueError("a shard needs one row a file.")
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(rows, SCHEMA), sink, compression="zstd")
        _replace(self.folder / "parts" / f"{_name(shard)}.parquet", sink.getvalue().to_pybytes())
        self._begun(shard).unlink(missing_ok=True)

    def begin(self, shard: list[str], file: str, deadly: Iterable[str] = ()) -> None:
        """Note the file that is about to be read, and those that ended readers before."""
        note = {"run": self.started, "deadly": [*deadly, file]}
        self._begun(shard).write_text(json.dumps(note), encoding="utf-8")

    def deadly(self, shard: list[str]) -> set[str]:
        """The files at which earlier readers of this shard died, in this very run."""
        begun = self._begun(shard)
        if not begun.is_file():
            return set()
        try:
            note = json.loads(begun.read_text(encoding="utf-8"))
        except ValueError:  # its writer was killed
            return set()
        return set(note["deadly"]) if note["run"] == self.started else set()

    def _begun(self, shard: list[str]) -> Path:
        return self.folder / "parts" / f"{_name(shard)}.begun"

    def table(self) -> pa.Table:
        """All rows so far."""
        tables = [pq.read_table(part, schema=SCHEMA) for part in self.parts]
        return pa.concat_tables(tables) if tables else SCHEMA.empty_table()


def counts(table: pa.Table, column: str) -> dict[str, int]:
    """How often each value of a column occurs, the most frequent first."""
    pairs = pc.value_counts(table[column]).to_pylist()
    named = {str(pair["values"] or ""): pair["counts"] for pair in pairs}
    return dict(sorted(named.items(), key=lambda pair: (-pair[1], pair[0])))


def _name(shard: list[str]) -> str:
    return hashlib.sha256("\0".join(shard).encode("utf-8", "surrogateescape")).hexdigest()[:24]


def _replace(path: Path, data: bytes) -> None:
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.new")
    unfinished.write_bytes(data)
    unfinished.replace(path)
