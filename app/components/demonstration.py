"""A guided path through the pages: what to look at, step by step, with films at hand.

The step lies in the reader's session: it survives page changes, and who leaves comes back to it.
Films are synthetic, or the database's where it is installed; nothing is fetched from elsewhere.
"""

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from app.sections import compare, reading, worklist
from app.session import cases
from app.session.language import gettext as _
from pipeline.models import registry

STEP, SHOWN, ARRIVING = "demonstration_step", "demonstration_shown", "demonstration_arriving"


@dataclass(frozen=True)
class Step:
    """A page (its script's name), what to look at there, and what puts it in that state."""

    page: str
    title: str
    text: str
    prepare: Callable[[], object] = lambda: None


def steps() -> list[Step]:
    """The whole path, in the reader's language."""
    return [
        Step(
            "diagnose",
            _("A film is read"),
            _(
                "The film is taken as it comes. A first network finds the lungs, a second scores "
                "them, and the page shows where the score comes from. The pictures zoom, move and "
                "change their window together."
            ),
            _open_clear,
        ),
        Step(
            "diagnose",
            _("Lungs, score and threshold"),
            _(
                "The line in the second picture is what the network takes for lung; only what lies "
                "inside is scored. The score is not a probability: it becomes a yes or no at the "
                "threshold, the mark below the bar. Choose another operating point: the score "
                "stays, the word may change."
            ),
            _open_clear,
        ),
        Step(
            "diagnose",
            _("The heatmap, and what it is not"),
            _(
                "Violet is weak evidence, yellow strong, on one scale for all films: a film with a "
                "low score has little to show and stays grey. The map shows what moved this score. "
                "It outlines no lesion and proves no disease; the page *Performance* says how far "
                "to trust it."
            ),
            lambda: _open("opacities", "COVID"),
        ),
        Step(
            "diagnose",
            _("A film that gets no score"),
            _(
                "On this film black and white are exchanged. The gate withholds the score and says "
                "why, rather than give a number that means nothing. Press *Invert the film*: the "
                "repaired film is read."
            ),
            lambda: reading.pick_example("inverted"),
        ),
        Step(
            "compare",
            _("Two films side by side"),
            _(
                "Both films share one zoom, one window and one colour scale: move one and the "
                "other follows. Below stands how the score changed. Position, exposure and machine "
                "move it as well as the disease does."
            ),
            _open_two,
        ),
        Step(
            "worklist",
            _("Many films at once"),
            _(
                "Each film gets a row with its score, or the reason why there is none; signs tell "
                "the outcomes apart, not colours. Other pages stay usable while the list is read. "
                "Tick a row to open its film."
            ),
            _fill_list,
        ),
        Step(
            "performance",
            _("What was measured"),
            _(
                "Move the threshold: what is gained in sensitivity is lost in specificity. Read "
                "each figure with its interval, then the table by source: COVID films come from "
                "other hospitals than the rest, so disease and source cannot be told apart."
            ),
        ),
        Step(
            "about",
            _("What it cannot do"),
            _(
                "The limits come first, then the scores and the sha256 of the weights that are "
                "running. The path ends here: now try a film of your own on the page *Read a "
                "radiograph*."
            ),
        ),
    ]


def offer(key: str) -> None:
    """A button that begins the path, or goes on where the reader left it."""
    if st.session_state.get(SHOWN):
        return
    number, count = st.session_state.get(STEP, 0), len(steps())
    label = _("Go on with the demonstration ({step} of {count})").format(
        step=number + 1, count=count
    )
    st.button(
        label if number else _("Guided demonstration"),
        on_click=_go,
        args=(number,),
        icon=":material/signpost:",
        key=key,
    )


def show(page: str) -> None:
    """The step and its buttons, above whichever page is shown; ``page``: its script's name."""
    if not st.session_state.get(SHOWN):
        return
    path, number = steps(), st.session_state[STEP]
    step = path[number]
    if st.session_state.pop(ARRIVING, False) and page != step.page:
        st.switch_page(registry.ROOT / f"pages/{step.page}.py")
    last = number == len(path) - 1
    with st.container(border=True, key="demonstration"):
        heading = _("Guided demonstration, {step} of {count}: {title}")
        st.markdown(f"**{heading}**".format(step=number + 1, count=len(path), title=step.title))
        st.markdown(step.text)
        with st.container(horizontal=True):
            st.button(_("Back"), on_click=_go, args=(number - 1,), disabled=number == 0)
            if page != step.page:
                st.button(_("To this step"), on_click=_go, args=(number,))
            if last:
                st.button(_("Finish"), on_click=_leave, args=(0,), type="primary")
            else:
                st.button(_("Next"), on_click=_go, args=(number + 1,), type="primary")
                st.button(_("Leave"), on_click=_leave, args=(number,))


def _go(number: int) -> None:
    st.session_state.update({STEP: number, SHOWN: True, ARRIVING: True})
    steps()[number].prepare()


def _leave(number: int) -> None:
    st.session_state.update({STEP: number, SHOWN: False})


def _open(example: str, label: str) -> str:
    """Open a film of the database's class, or else an example; returns its key in the session."""
    if cases.database_films().get(label):
        cases.open_database_film(label, 0)
    else:
        reading.pick_example(example)
    return st.session_state["case"]


def _open_clear() -> str:
    return _open("clear", "Normal")


def _open_two() -> None:
    earlier, later = _open_clear(), _open("opacities", "COVID")
    compare.pick_films(earlier, later)


def _fill_list() -> None:
    if worklist.is_empty():  # a reader's own list is left alone
        worklist.start_synthetic(st.session_state.get("model") or registry.classifiers()[0])
