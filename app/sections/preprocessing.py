"""The parts of the preprocessing page: what the graph makes of one film, stage by stage."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import cv2
import streamlit as st

from app.components.before_after import show_before_after
from app.components.chart import show_chart
from app.components.save import save
from app.sections import reading
from app.session import cases
from app.session.language import gettext as _
from app.session.language import number
from app.views import stages as views
from app.views.markdown import escape
from pipeline.inference.engine import keras_is_installed
from pipeline.serving.queue import on_keras

if TYPE_CHECKING:  # they load TensorFlow, which the page's first words must not wait for
    from pipeline.inference.diagnosis import Diagnosis
    from pipeline.inference.layer_outputs import Node
    from pipeline.inference.stages import Stage

CHART = "graph_chart"


def choose_case() -> cases.Case:
    """The film that is being read, or a synthetic one."""
    case = cases.selected_case()
    if case is None:
        case = st.session_state.setdefault("shown_example", cases.example("opacities"))
    st.caption(
        _(
            "Image: **{title}**. To see another one, open it on the page *Read a radiograph*."
        ).format(title=escape(reading.title_of(case)))
    )
    return case


def stage_names() -> dict[str, str]:
    """What each stage is called."""
    return {
        "raw": _("Original image"),
        "resized": _("Resized"),
        "seen": _("Equalised, U-Net input"),
        "probability": _("Lung probability"),
        "mask": _("Mask: rounded probability"),
        "masked": _("Image × mask"),
        "equalised": _("Equalised, classifier input"),
    }


def stages(case: cases.Case, model: str) -> tuple[Diagnosis, list[Stage]]:
    """The answer and the stages; computed once per film and model."""
    with st.spinner(_("Finding the lungs and computing the score…")):
        diagnosis = cases.diagnosis_of(case, model)
        key = (case.radiograph.key, model)
        if st.session_state.get("stages_of") != key:
            from pipeline.inference.stages import stages_of

            predictor = cases.prepare(model).result()
            st.session_state["stages"] = stages_of(diagnosis, predictor)
            st.session_state["stages_of"] = key
    return diagnosis, st.session_state["stages"]


def show_stages(shown: list[Stage]) -> None:
    """Every stage as a picture with its histogram and cumulative curve."""
    names, words = stage_names(), level_words()
    for start in (0, 4):
        for column, stage in zip(st.columns(4), shown[start : start + 4], strict=False):
            with column:
                rows, columns = stage.pixels.shape
                caption = f"{names[stage.name]} ({rows} × {columns})"
                st.image(views.picture(stage), caption=caption, alt=caption, width="stretch")
                show_chart(
                    views.level_chart(stage, words),
                    key=f"levels_{stage.name}",
                )
    st.caption(
        _(
            "Bars: frequency of each grey level, from black (left) to white (right); line: "
            "cumulative share of pixels. After masking only lung pixels are counted. A straight "
            "line means that all levels are used equally, which is what equalisation does."
        )
    )


def level_words() -> dict[str, str]:
    """Words of the histograms."""
    return {"histogram": _("Share of pixels"), "cumulative": _("Cumulative share")}


@st.fragment
def compare_stages(shown: list[Stage]) -> None:
    """Any two stages under one slider."""
    names = stage_names()
    by_name = {stage.name: stage for stage in shown}
    left, right = st.columns(2)
    with left:
        before = st.selectbox(_("Before"), names, 1, format_func=names.get, key="before")
    with right:
        after = st.selectbox(_("After"), names, 6, format_func=names.get, key="after")
    words = {
        "slider": _("Drag to compare"),
        "before": names[before],
        "after": names[after],
    }
    show_before_after(_url(by_name[before]), _url(by_name[after]), words, key="before_after")


def _url(stage: Stage) -> str:
    coded = cv2.imencode(".png", views.picture(stage))[1]
    return "data:image/png;base64," + base64.b64encode(coded.tobytes()).decode()


def show_equalisation(shown: list[Stage]) -> None:
    """HistNorm next to OpenCV, and both ways to count."""
    if not keras_is_installed():
        say_keras_is_missing()
        return
    from pipeline.inference.stages import compare_equalisation

    by_name = {stage.name: stage for stage in shown}
    lungs = by_name["mask"].pixels > 0.5
    found = compare_equalisation(by_name["masked"].pixels, lungs)
    left, right = st.columns(2)
    with left:
        st.metric(
            _("Pixels differing from cv2.equalizeHist"),
            number(found.different, 0),
            help=_("Out of {pixels} pixels in this image.").format(pixels=number(found.pixels, 0)),
        )
    with right:
        st.metric(
            _("Pixels changed if only lungs are counted"),
            number(found.moved, 0),
            help=_("Out of {pixels} lung pixels in this image.").format(
                pixels=number(found.lungs, 0)
            ),
        )
    st.markdown(
        _(
            "HistNorm is a Keras layer inside the graph: each image is equalised by its own "
            "histogram, in training and at inference. It can count every pixel of the masked "
            "image, as in the original report, or lung pixels only. The black outside takes up the "
            "first level and is left out of the scale; on this image the two differ by {mean} "
            "levels of 255 on average, by {largest} at most."
        ).format(mean=number(found.mean_move), largest=number(found.largest_move, 0))
    )


@st.fragment
def explore_graph(diagnosis: Diagnosis) -> None:
    """The graph as a diagram; a click on a layer shows what it makes of this film."""
    if not keras_is_installed():
        say_keras_is_missing()
        return
    from pipeline.inference.layer_outputs import nodes

    predictor = on_keras(cases.prepare(diagnosis.model).result())
    found = {node.name: node for node in nodes(predictor)}
    if st.session_state.get("layer") not in found:
        st.session_state["layer"] = "down1_conv1"
    chart = f"{CHART}_{diagnosis.model}"
    chosen = found[st.session_state["layer"]]
    show_chart(
        views.graph_chart(list(found.values()), chosen.name, graph_words()),
        key=chart,
        on_select=lambda: _take_click(chart),
        selection_mode="points",
        config={"scrollZoom": True},
    )
    st.selectbox(_("Layer"), list(found), key="layer")
    _show_layer(diagnosis, chosen)


def say_keras_is_missing() -> None:
    """Why a part of a page is not there."""
    st.info(
        _("This part needs TensorFlow, and this installation computes with ONNX Runtime alone."),
        icon=":material/layers_clear:",
    )


def _take_click(chart: str) -> None:
    points = st.session_state[chart].selection.points
    if points and "customdata" in points[0]:
        st.session_state["layer"] = points[0]["customdata"][0]


def _show_layer(diagnosis: Diagnosis, node: Node) -> None:
    from pipeline.inference.layer_outputs import output_of

    predictor = on_keras(cases.prepare(diagnosis.model).result())
    output = output_of(predictor, diagnosis.radiograph.pixels, node.name)
    st.markdown(
        _(
            "**{name}** ({kind}): output {shape}, {parameters} parameters, input from {inputs}."
        ).format(
            name=node.name,
            kind=node.kind,
            shape=views.shape_text(output.shape),
            parameters=number(node.parameters, 0),
            inputs=", ".join(node.inputs) or _("the image"),
        )
    )
    if output.ndim == 1:
        st.bar_chart(output, x_label=_("Unit"), y_label=_("Value"))
        return
    st.image(views.channel_grid(output), alt=node.name, width="stretch")
    st.caption(
        _(
            "Channels 1 to {count} of {all}, each scaled from its 1st percentile (black) "
            "to its 99th (white)."
        ).format(count=min(views.CHANNELS, output.shape[-1]), all=output.shape[-1])
    )


def graph_words() -> dict[str, str]:
    """Words of the diagram."""
    return {
        "convolution": _("Convolution"),
        "normalisation": _("Normalisation"),
        "pooling": _("Pooling"),
        "upsampling": _("Upsampling"),
        "equalisation": _("Equalisation (HistNorm)"),
        "joining": _("Merge"),
        "decision": _("Decision"),
        "other": _("Other"),
        "chosen": _("Selected layer"),
        "depth": _("Layers from the image"),
        "side": _("Output rows"),
    }


@st.fragment
def offer_slide(case: cases.Case, shown: list[Stage]) -> None:
    """All stages as one picture for a slide."""
    note = _("Synthetic image. Not for diagnostic use.")
    if case.origin != "synthetic":
        note = _("Not for diagnostic use.")
    with st.container(horizontal=True):
        for form, kind in (("svg", "image/svg+xml"), ("png", "image/png")):
            label = _("Stages as {form}").format(form=form.upper())
            if st.button(label, key=f"slide_{form}", icon=":material/download:"):
                slide = views.stages_slide(shown, stage_names(), note, form)
                save(slide, f"pulmoscope-stages.{form}", kind)
