"""How many planted faults do the tests find? A sample of mutants, by a fixed seed.

    python -m tests.mutation --room io --count 25

A mutant is one module with one change: a comparison or an arithmetic operator exchanged for its
neighbour, a condition negated, a number moved by one, ``and`` for ``or``, a returned value dropped.
Texts, annotations and docstrings stay as they are, and so does a module's command line. A mutant
meets those tests of its room that pass through its line, in a process of its own; it is dead when
one fails or none ends in time. One line a mutant is printed, and the share of dead ones at the end
with its 95 % Wilson interval. Same seed, same mutants: a room is looked at again with ``--again``
and the numbers of those that lived.
"""

import argparse
import ast
import copy
import importlib.abc
import importlib.machinery
import io
import json
import os
import random
import signal
import sys
import threading
import time
from collections import defaultdict
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("layers", "models", "io", "quality", "evaluation", "training")
SECONDS = 60.0
MOST = 25  # tests a mutant meets
NEIGHBOURS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.And: ast.Or,
    ast.Or: ast.And,
}


@dataclass(frozen=True)
class Mutant:
    """``source``: what the file becomes; ``line``: where; ``about``: what was changed."""

    path: Path
    line: int
    about: str
    source: str

    @property
    def module(self) -> str:
        return ".".join(self.path.relative_to(ROOT).with_suffix("").parts)


def places_in(path: Path) -> list[tuple[Path, int]]:
    """Where a file can be changed, in order, for `mutant_at`."""
    return [(path, node.number) for node in _code(_numbered(path)) if _changed(node)]


def mutant_at(path: Path, number: int) -> Mutant:
    """The mutant of one place."""
    tree = _numbered(path)
    parent, field, index = _place(tree, number)
    node = getattr(parent, field) if index is None else getattr(parent, field)[index]
    changed = _changed(node)
    about = f"{_short(node)}  ->  {_short(changed)}"
    if index is None:
        setattr(parent, field, changed)
    else:
        getattr(parent, field)[index] = changed
    return Mutant(path, node.lineno, about, ast.unparse(ast.fix_missing_locations(tree)))


def _numbered(path: Path) -> ast.Module:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for number, node in enumerate(ast.walk(tree)):
        node.number = number
    return tree


def _code(node: ast.AST):
    """What is computed: no annotation, no default text, nothing below ``if __name__``."""
    if isinstance(node, ast.If) and "__name__" in ast.unparse(node.test):
        return
    if isinstance(node, ast.JoinedStr):
        return
    yield node
    for field, value in ast.iter_fields(node):
        if field in {"annotation", "returns", "decorator_list"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _code(child)


def _changed(node: ast.AST) -> ast.AST | None:
    """The node with its one change, None where there is none."""
    new = copy.copy(node)
    if isinstance(node, ast.Compare) and type(node.ops[0]) in NEIGHBOURS:
        new.ops = [NEIGHBOURS[type(node.ops[0])](), *node.ops[1:]]
    elif (
        isinstance(node, ast.BinOp) and type(node.op) in NEIGHBOURS and not _text(node)
    ) or isinstance(node, ast.BoolOp):
        new.op = NEIGHBOURS[type(node.op)]()
    elif isinstance(node, ast.Constant) and type(node.value) in {int, float}:
        new.value = node.value + 1
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        new.value = not node.value
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub | ast.Invert):
        new = node.operand
    elif isinstance(node, ast.If | ast.IfExp | ast.While):
        new.test = ast.UnaryOp(ast.Not(), node.test)
    elif isinstance(node, ast.Return) and node.value is not None:
        new.value = ast.Constant(None)
    else:
        return None
    return new


def _text(node: ast.BinOp) -> bool:
    return any(
        isinstance(side, ast.JoinedStr)
        or (isinstance(side, ast.Constant) and isinstance(side.value, str))
        for side in (node.left, node.right)
    )


def _short(node: ast.AST) -> str:
    return ast.unparse(node).splitlines()[0][:60]


def _place(tree: ast.AST, number: int) -> tuple[ast.AST, str, int | None]:
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            if isinstance(value, list):
                for index, child in enumerate(value):
                    if getattr(child, "number", None) == number:
                        return parent, field, index
            elif getattr(value, "number", None) == number:
                return parent, field, None
    raise LookupError(number)


class _Passing:
    """Notes which tests pass through which lines of a room; a plugin of pytest."""

    def __init__(self, folder: str):
        self.folder, self.test = folder, ""
        self.tests: dict[tuple[str, int], set[str]] = defaultdict(set)

    def _trace(self, frame, event, _):
        if not frame.f_code.co_filename.startswith(self.folder):
            return None
        self.tests[frame.f_code.co_filename, frame.f_lineno].add(self.test)
        return self._trace

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item):
        self.test = item.nodeid
        threading.settrace(self._trace)
        sys.settrace(self._trace)
        yield
        sys.settrace(None)
        threading.settrace(None)


class _Mutated(importlib.abc.MetaPathFinder, importlib.abc.SourceLoader):
    """Gives the mutant where its module is imported."""

    def __init__(self, mutant: Mutant):
        self.mutant = mutant

    def find_spec(self, name, path=None, target=None):
        if name != self.mutant.module:
            return None
        return importlib.machinery.ModuleSpec(name, self, origin=str(self.mutant.path))

    def get_filename(self, _):
        return str(self.mutant.path)

    def get_data(self, _):
        return self.mutant.source.encode()


def _pytest(arguments: list[str], plugins=()) -> int:
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        common = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not browser"]
        return pytest.main([*common, *arguments], plugins=list(plugins))


def _in_a_fork(work, seconds: float) -> int:
    """The exit status of ``work``; 124 where it took longer."""
    child = os.fork()
    if not child:
        os.setsid()
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        status = 99
        try:
            status = int(work())
        finally:
            os._exit(status)
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return 124


def tests_by_line(room: str, kept: Path) -> dict[str, list[str]]:
    """Tests of a room by "file:line" of what they pass through, computed once and kept."""
    if not kept.is_file():

        def work() -> int:
            passing = _Passing(str(ROOT / "pipeline" / room))
            status = _pytest([f"tests/{room}", "-m", "not browser and not slow"], [passing])
            table = {
                f"{file}:{line}": sorted(names) for (file, line), names in passing.tests.items()
            }
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(table))
            return status

        status = _in_a_fork(work, 1200)
        if status:
            raise SystemExit(f"the tests of {room} fail by themselves: {status}")
    return json.loads(kept.read_text())


def tests_for(mutant: Mutant, table: dict[str, list[str]]) -> list[str]:
    """Tests through the mutant's line; where none is known, through its function; else its file.

    At most `MOST`, of as many functions as there are.
    """
    file = str(mutant.path)
    lines = {int(key.rsplit(":", 1)[1]): tests for key, tests in table.items() if file in key}
    found = lines.get(mutant.line) or _through(lines, _function_lines(mutant)) or _through(lines)
    first = {test.split("[")[0]: test for test in reversed(found)}
    rest = [test for test in found if test not in first.values()]
    return [*first.values(), *rest][:MOST]


def _through(lines: dict[int, list[str]], of: range | None = None) -> list[str]:
    return sorted({t for line, tests in lines.items() if of is None or line in of for t in tests})


def _function_lines(mutant: Mutant) -> range:
    around = range(0)
    for node in ast.walk(ast.parse(mutant.path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.lineno <= mutant.line <= node.end_lineno:
            around = range(node.lineno, node.end_lineno + 1)
    return around


def dies(mutant: Mutant, tests: list[str]) -> bool:
    """Whether one of the tests fails on the mutant."""

    def work() -> int:
        sys.meta_path.insert(0, _Mutated(mutant))
        return _pytest(["-x", *tests])

    return bool(tests) and _in_a_fork(work, SECONDS) != 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--room", choices=ROOMS, action="append")
    parser.add_argument("--count", type=int, default=25, help="mutants of each room")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--again", type=int, nargs="*", help="these numbers alone")
    parser.add_argument("--cache", type=Path, default=ROOT / ".cache" / "mutation")
    options = parser.parse_args()
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    import matplotlib.pyplot  # once, so that a fork has them
    import pydicom
    import sklearn.metrics
    import tensorflow
    import torch

    del matplotlib, pydicom, sklearn, tensorflow, torch
    dead = met = 0
    for room in options.room or ROOMS:
        table = tests_by_line(room, options.cache / f"{room}.json")
        files = sorted((ROOT / "pipeline" / room).glob("*.py"))
        every = [place for path in files for place in places_in(path)]
        drawn = random.Random(options.seed).sample(every, min(options.count, len(every)))
        for number, place in enumerate(drawn):
            if options.again is not None and number not in options.again:
                continue
            mutant = mutant_at(*place)
            tests = tests_for(mutant, table)
            died = dies(mutant, tests)
            dead, met = dead + died, met + 1
            where = f"{mutant.path.relative_to(ROOT)}:{mutant.line}"
            print("dead " if died else "LIVES", room, number, where, mutant.about, flush=True)
    from pipeline.evaluation.estimates import proportion

    share = proportion(dead, met)
    print(f"{dead} of {met} died: {share.value:.0%} ({share.low:.0%} to {share.high:.0%})")


if __name__ == "__main__":
    main()
