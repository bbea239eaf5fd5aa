"""A tiny database with its split and weights, which every test of this folder may train on."""

from pathlib import Path

import pytest

from tests.drawn import make_database, make_siim, make_weights


@pytest.fixture(scope="session")
def _tiny(tmp_path_factory, films) -> Path:
    root = tmp_path_factory.mktemp("tiny")
    make_siim(make_database(root / "data", films), films)
    make_weights(root / "weights", root / "data")
    return root


@pytest.fixture
def tiny(_tiny, monkeypatch) -> Path:
    """The folder of 24 images of the database's classes and 16 of SIIM's.

    Its split is the one in use, and what training caches lies beside it.
    """
    monkeypatch.setenv("PULMOSCOPE_WEIGHTS", str(_tiny / "weights"))
    monkeypatch.chdir(_tiny)
    return _tiny / "data"
