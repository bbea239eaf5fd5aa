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
            _("Reading a radiograph"),
            _(
                "The image is used as it is. A first network finds the lung fields, a second one "
                "scores them, and the page shows where the score comes from. All views share zoom, "
                "position and window."
            ),
            _open_clear,
        ),
        Step(
            "diagnose",
            _("Lungs, score and threshold"),
            _(
                "The outline in the second view is what the network takes for lung; only the "
                "inside is scored. The score is not a probability: it becomes a yes or a no at the "
                "threshold, marked below the bar. Choose another operating point: the score stays "
                "the same, the result may change."
            ),
            _open_clear,
        ),
        Step(
            "diagnose",
            _("What the heatmap shows, and what it does not"),
            _(
                "Violet means weak evidence, yellow strong evidence, on the same scale for all "
                "images: with a low score there is little to show and the image stays grey. The "
                "map shows what drove this score. It does not delineate lesions and does not prove "
                "disease; the page *Performance* says how far it can be trusted."
            ),
            lambda: _open("opacities", "COVID"),
        ),
        Step(
            "diagnose",
            _("An image without a score"),
            _(
                "This image is inverted: black and white are exchanged. The quality check "
                "withholds the score and says why, instead of giving a meaningless number. Press "
                "*Invert the image*: the corrected image is read."
            ),
            lambda: reading.pick_example("inverted"),
        ),
        Step(
            "compare",
            _("Two images side by side"),
            _(
                "Both images share zoom, window and colour scale: move one and the other follows. "
                "The change in score is given below. Positioning, exposure and equipment change it "
                "as much as disease does."
            ),
            _open_two,
        ),
        Step(
            "worklist",
            _("Several images at once"),
            _(
                "Each image gets a row with its score, or the reason why there is none; results "
                "differ by symbol, not only by colour. You can use the other pages while the list "
                "is being read. Tick a row to open its image."
            ),
            _fill_list,
        ),
        Step(
            "performance",
            _("What was measured"),
            _(
                "Move the threshold: sensitivity is gained at the cost of specificity. Read each "
                "value with its interval, then the table by source: COVID images come from other "
                "hospitals than the rest, so disease and source cannot be separated."
            ),
        ),
        Step(
            "about",
            _("What it cannot do"),
            _(
                "The limits first, then the scores and the sha256 of the weights in use. The tour "
                "ends here: now try an image of your own on the page *Read a radiograph*."
            ),
        ),
    ]


def offer(key: str) -> None:
    """A button that begins the path, or goes on where the reader left it."""
    if st.session_state.get(SHOWN):
        return
    number, count = st.session_state.get(STEP, 0), len(steps())
    label = _("Resume the demonstration ({step} of {count})").format(step=number + 1, count=count)
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
                st.button(_("Go to this step"), on_click=_go, args=(number,))
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
