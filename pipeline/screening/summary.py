"""One page of a run's figures, as HTML without anything from outside. No file is named in it."""

from html import escape
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.release.measurements import scores_on_test_films
from pipeline.screening.shards import Run, counts

FEWEST = 20  # scores of a group, below which its mean says nothing
STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .8rem;text-align:right;"
    "border-bottom:1px solid #8886}td:first-child,th:first-child{text-align:left}"
    ":root{color-scheme:light dark}"
)


def write_summary(run: Run, table: pa.Table) -> None:
    """Write ``summary.html``: counts, reasons, answers, scores by scanner and month, drift."""
    settings = run.settings
    parts = [
        "<h1>Screening</h1><p><strong>Not for diagnostic use.</strong></p>",
        f"<p>{table.num_rows:,} files, model {escape(settings['model'])} "
        f"({settings['weights_sha256'][:12]}), quality check {settings['gate_sha256'][:12]}, "
        f"threshold {settings['threshold']:.3f}.</p>",
        _table("Status", ("", "files"), counts(table, "status").items()),
        _table("Reasons without a score", ("", "files"), _reasons(table).items()),
        _table("Answer", ("", "files"), counts(_scored(table), "triage").items()),
        _table("Scores", ("from", "files"), _histogram(table)),
        _by(table, "scanner", "Scanner"),
        _by(table, "month", "Month"),
        _drift(table, settings["model"]),
    ]
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Screening</title>'
        f"<style>{STYLE}</style><body>{''.join(parts)}</body></html>"
    )
    (run.folder / "summary.html").write_text(page, encoding="utf-8")


def _scored(table: pa.Table) -> pa.Table:
    return table.filter(pa.array([status == "ok" for status in table["status"].to_pylist()]))


def _scores(table: pa.Table) -> np.ndarray:
    return np.array(_scored(table)["covid_probability"].to_pylist(), np.float32)


def _reasons(table: pa.Table) -> dict[str, int]:
    said = [code for codes in table["reasons"].to_pylist() for code in codes or ()]
    return {code: said.count(code) for code in sorted(set(said))}


def _histogram(table: pa.Table) -> list[tuple[str, int]]:
    numbers, edges = np.histogram(_scores(table), 10, (0, 1))
    return [(f"{low:.1f}", int(n)) for low, n in zip(edges, numbers, strict=False)]


def _by(table: pa.Table, column: str, title: str) -> str:
    scored = _scored(table)
    values = np.array(scored["covid_probability"].to_pylist(), np.float32)
    positive = np.array(scored["positive"].to_pylist(), bool)
    groups = np.array([value or "not stated" for value in scored[column].to_pylist()])
    rows = [
        (group, int(own.sum()), f"{values[own].mean():.3f}", f"{positive[own].mean():.1%}")
        for group in np.unique(groups)
        if (own := groups == group).any()
    ]
    return _table(title, ("", "scored", "mean score", "called COVID"), rows)


def _drift(table: pa.Table, model: str) -> str:
    """Mean scores here beside those of the test images of each source."""
    known = scores_on_test_films(model)
    scores = _scores(table)
    if known is None or len(scores) < FEWEST:
        return ""
    rows: list[tuple[Any, ...]] = [("this archive", len(scores), f"{scores.mean():.3f}")]
    rows += [
        (source, group["called_covid"]["n"], f"{group['mean_score']:.3f}")
        for source, group in sorted(known["by_source"].items())
    ]
    means = [group["mean_score"] for group in known["by_source"].values()]
    inside = min(means) <= scores.mean() <= max(means)
    said = (
        "The mean score lies within those of the sources that the model was tested on."
        if inside
        else "The mean score lies outside those of all sources that the model was tested on: its "
        "scores may not mean here what they mean there."
    )
    return _table("Beside the test images", ("", "images", "mean score"), rows) + f"<p>{said}</p>"


def _table(title: str, heads: tuple[str, ...], rows: Any) -> str:
    cells = [[str(cell) for cell in row] for row in rows]
    if not cells:
        return ""
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in cells
    )
    return f"<h2>{escape(title)}</h2><table><tr>{head}</tr>{body}</table>"
