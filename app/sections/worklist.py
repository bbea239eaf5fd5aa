"""The parts of the work list's page, and its place in the session.

The list lives in the session's memory, goes on when another page is shown, and ends with the
session; see `pipeline.serving.worklist` for what it holds.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import streamlit as st

from app.http.bodies import give_back
from app.session import cases
from app.session.language import gettext as _
from app.session.language import number, plain_sentence, sentence
from app.views.markdown import escape
from pipeline.io.radiograph import UnreadableRadiograph
from pipeline.report.tables import printable, safe, write_csv, write_xlsx
from pipeline.serving.worklist import (
    MAX_FILMS,
    MAX_HELD_MB,
    Row,
    WorkList,
    gather,
    synthetic_sources,
)

POLL_SECONDS = 1.0
SNAPSHOTS = 10  # how often the table grows while films are read; each time it is sent anew
READ_PAGE = Path(__file__).resolve().parents[2] / "pages/diagnose.py"


def _current() -> WorkList | None:
    return st.session_state.get("worklist")


def is_running() -> bool:
    """Whether films are being read."""
    return _current() is not None and _current().running


def is_empty() -> bool:
    """Whether there is nothing to show yet."""
    return _current() is None


def take_files() -> list:
    """Drop many films or a ZIP; returns what waits to be read, also after a page change."""
    turn = st.session_state.setdefault("worklist_turn", 0)
    key = f"worklist_files_{turn}"  # a new key empties the widget once the list has its files
    st.file_uploader(
        _("Drop up to {films} chest radiographs, or a ZIP of them").format(films=MAX_FILMS),
        accept_multiple_files=True,
        key=key,
        help=_(
            "PNG, JPEG, BMP, TIFF, WebP or DICOM, {megabytes} MB in all. Nothing you upload is "
            "stored: the list is deleted when you close this page."
        ).format(megabytes=MAX_HELD_MB),
        on_change=_files_changed,
        args=(key,),
    )
    sources, left_out = st.session_state.get("worklist_waiting", ([], None))
    if left_out:
        st.warning(sentence(left_out), icon=":material/warning:")
    return sources


def _files_changed(key: str) -> None:
    files = st.session_state[key]
    before, _left_out = st.session_state.get("worklist_waiting", ([], None))
    dropped = ((file.name, file.getvalue()) for file in files)
    waiting = gather(dropped, cases.party(), tuple(before))
    # The sources have what they need: what was left out is not kept by the page either.
    for file in files:
        give_back(file)
    st.session_state["worklist_turn"] = st.session_state.get("worklist_turn", 0) + 1
    st.session_state["worklist_waiting"] = waiting


def offer_start(sources: list, model: str) -> None:
    """A button that reads what was dropped."""
    cases.prepare(model)
    st.button(
        _("Read the images ({count})").format(count=len(sources)),
        on_click=_start,
        args=(sources, model),
        type="primary",
        icon=":material/play_arrow:",
    )
    if not is_empty():
        st.caption(_("This replaces the list below."))


def offer_synthetic_films(model: str) -> None:
    """A button that shows the page at work without a patient's film."""
    cases.prepare(model)
    st.button(
        _("Try it with synthetic images"),
        on_click=start_synthetic,
        args=(model,),
        icon=":material/draw:",
    )


def start_synthetic(model: str) -> None:
    """Read the built-in synthetic films."""
    _start(synthetic_sources(), model)


def _start(sources: list, model: str) -> None:
    if is_running():
        return
    st.session_state.pop("worklist_opened", None)
    st.session_state["worklist"] = WorkList(
        sources, cases.prepare(model), cases.list_asker(model), cases.list_reader()
    )
    st.session_state.pop("worklist_waiting", None)
    st.session_state["worklist_turn"] = st.session_state.get("worklist_turn", 0) + 1


@st.fragment(run_every=POLL_SECONDS)
def show_progress() -> None:
    """How far it is, a way to stop, and the rows so far; redrawn until the list has ended."""
    work = _current()
    if work is None or not work.running:
        st.rerun(scope="app")
    rows = work.rows
    done = _("{done} of {total} read").format(done=len(rows), total=work.total)
    st.progress(len(rows) / work.total, text=f"{done} · {_time_left(work)}")
    st.button(_("Cancel"), on_click=work.cancel, icon=":material/stop:")
    st.caption(_("You can open another page meanwhile: the list continues."))
    step = max(1, work.total // SNAPSHOTS)
    _table(rows[: len(rows) // step * step])


def _time_left(work: WorkList) -> str:
    left = work.seconds_left()
    if work.cancelled:
        return _("stopping after this image…")
    if left is None:
        return _("loading the model…")
    if left > 90:
        return _("about {minutes} min left").format(minutes=number(left / 60, 0))
    return _("about {seconds} s left").format(seconds=number(max(1, left), 0))


def show_outcome() -> None:
    """What came out, in one line; and why, when it did not come to its end."""
    work = _current()
    if work is None:
        return
    if work.problem:
        st.error(sentence(work.problem), icon=":material/error:")
        return
    rows = work.rows
    if len(rows) < work.total:
        text = _("Cancelled after {done} of {total}. What was read is below.")
        st.info(text.format(done=len(rows), total=work.total), icon=":material/stop:")
    counts = dict.fromkeys(_words().values(), 0)
    for row in rows:
        counts[_words()[_outcome(row)]] += 1
    st.markdown(" · ".join(f"{word} **{count}**" for word, count in counts.items()))


def show_empty_state() -> None:
    """What this page is for, before there is a list."""
    st.info(
        _(
            "Drop several images or a ZIP above. Each gets a row with its score, or the reason why "
            "there is none; a bad file does not stop the others. Tick a row to open its image, and "
            "export the table as CSV or Excel. For a single image, use the page *Read a "
            "radiograph*."
        ),
        icon=":material/lists:",
    )


def show_table() -> None:
    """The rows that the reader wants to see, and the image of the one that is ticked."""
    work = _current()
    if work is None or not work.rows:
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        wanted = st.segmented_control(
            _("Show"),
            [kind for kind in _words() if any(_outcome(row) == kind for row in work.rows)],
            format_func=_words().get,
            selection_mode="multi",
            key=f"worklist_kinds_{st.session_state['worklist_turn']}",
            help=_("Nothing chosen: all images."),
        )
        following = next_suspicious(work.rows, st.session_state.setdefault("worklist_opened", []))
        if following and st.button(_("Next suspicious image"), icon=":material/skip_next:"):
            _open(following)
    _table(work.rows, wanted)


def in_order(rows: Sequence[Row], kinds: Sequence[str] = ()) -> list[Row]:
    """Rows with the highest score first, then those without a score, then errors.

    ``kinds``: which outcomes, see `_words`; all of them where none is named.
    """
    shown = [row for row in rows if not kinds or _outcome(row) in kinds]
    last = ("ok", "abstained", "error")
    return sorted(
        shown,
        key=lambda row: (
            last.index(row.record["status"]),
            -(row.record.get("covid_score") or 0),
        ),
    )


def next_suspicious(rows: Sequence[Row], opened: Sequence[str]) -> Row | None:
    """The suspected image with the highest score that has not been opened, by its sha256."""
    suspected = in_order(rows, ("positive",))
    return next((row for row in suspected if row.record["sha256"] not in opened), None)


def _table(all_rows: tuple[Row, ...], kinds: Sequence[str] = ()) -> None:
    rows = in_order(all_rows, kinds)
    if not rows:
        return
    threshold = number(rows[0].record["threshold"])
    st.caption(
        _(
            "Highest score first; images from {threshold} on are suspected. Tick a row to open its "
            "image. Click a heading to sort."
        ).format(threshold=threshold)
    )
    event = st.dataframe(
        _frame(rows),
        column_config=_columns(),
        hide_index=True,
        row_height=56,
        height=min(620, 40 + 56 * len(rows)),
        placeholder="–",
        on_select="rerun",
        selection_mode="single-row",
        # A selection means rows of one table: with other rows it must not be taken over.
        key=f"worklist_table_{st.session_state['worklist_turn']}_{len(all_rows)}_{'_'.join(kinds)}",
        alt=_("Images with result and score"),
    )
    if event.selection.rows:
        _open(rows[event.selection.rows[0]])


def _frame(rows: Sequence[Row]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "film": [row.thumbnail_url for row in rows],
            "verdict": [_verdict(row) for row in rows],
            "score": [row.record.get("covid_score") for row in rows],
            # The table's own menu writes a CSV, too.
            "file": [safe(row.source.name) for row in rows],
        }
    ).astype({"score": float})


def _columns() -> dict:
    column = st.column_config
    return {
        "film": column.ImageColumn(_("Image"), width=70),
        "file": column.TextColumn(_("File"), width=150),
        "verdict": column.TextColumn(_("Result"), width=260),
        "score": column.ProgressColumn(
            _("Score"), min_value=0, max_value=1, format="%.2f", width=125
        ),
    }


def _words() -> dict[str, str]:
    """Every outcome with its own sign, so that none is told by colour."""
    return {
        "positive": "▲ " + _("COVID-19 suspected"),
        "negative": "▽ " + _("COVID-19 not suspected"),
        "abstained": "◇ " + _("No score"),
        "error": "✕ " + _("Unreadable"),
    }


def _outcome(row: Row) -> str:
    status = row.record["status"]
    if status != "ok":
        return status
    return "positive" if row.record["positive"] else "negative"


def _verdict(row: Row) -> str:
    reasons = [printable(plain_sentence(reason)) for reason in row.reasons]
    return " – ".join([_words()[_outcome(row)], *([" ".join(reasons)] if reasons else [])])


def _open(row: Row) -> None:
    """Show the film on the reading page; one that cannot be read shows its sentence instead."""
    if row.record["status"] == "error":
        st.error(escape(_verdict(row)), icon=":material/error:")
        return
    try:
        cases.open_listed(row.source.name, row.source.origin, row.source.read())
    except UnreadableRadiograph as error:
        st.error(sentence(error.message), icon=":material/error:")
        return
    st.session_state.setdefault("worklist_opened", []).append(row.record["sha256"])
    st.switch_page(READ_PAGE)


def offer_downloads() -> None:
    """The table as CSV and XLSX, and a way to forget it."""
    work = _current()
    if work is None:
        return
    with st.container(horizontal=True):
        if work.rows:
            name = "pulmoscope-not-for-diagnostic-use"
            sheet = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
            csv, xlsx = write_csv(work.rows, _), write_xlsx(work.rows, _)
            icon = ":material/download:"
            st.download_button("CSV", csv, f"{name}.csv", "text/csv", icon=icon, on_click="ignore")
            st.download_button("Excel", xlsx, f"{name}.xlsx", sheet, icon=icon, on_click="ignore")
        st.button(_("Clear this list"), on_click=_forget, icon=":material/delete:")


def _forget() -> None:
    for key in ("worklist", "worklist_opened"):
        st.session_state.pop(key, None)
