"""Stages and layers of the graph: arrays in, charts and pictures out. No streamlit."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import cv2
import numpy as np
import plotly.graph_objects as go
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from app.views.charts import BLUE, GREEN, GREY, LEGEND, MARGIN, ORANGE
from pipeline.explain.overlay import shrink

if TYPE_CHECKING:  # they load TensorFlow
    from pipeline.inference.layer_outputs import Node
    from pipeline.inference.stages import Stage

SIDE = 512
CHANNELS = 16
TILE = 128
# What a layer does -> (colour, mark): told by shape as well as by colour.
KINDS = {
    "convolution": (BLUE, "square"),
    "normalisation": (GREY, "circle"),
    "pooling": (ORANGE, "triangle-down"),
    "upsampling": (GREEN, "triangle-up"),
    "equalisation": ("#B8860B", "star"),
    "joining": ("#CC79A7", "cross"),
    "decision": (BLUE, "diamond"),
    "other": (GREY, "circle-open"),
}


def picture(stage: Stage) -> np.ndarray:
    """A stage as uint8 grey (rows, columns), at most `SIDE` pixels long."""
    return np.rint(shrink(stage.pixels * 255, SIDE)).astype(np.uint8)


def level_chart(stage: Stage, words: dict) -> go.Figure:
    """Histogram as bars, cumulative curve as a line, both as shares of the counted pixels."""
    centres, shares, sums = stage.histogram()
    figure = go.Figure()
    figure.add_bar(x=centres, y=shares, marker={"color": GREY}, name=words["histogram"])
    figure.add_scatter(
        x=centres, y=sums, mode="lines", line={"color": BLUE}, name=words["cumulative"], yaxis="y2"
    )
    figure.update_layout(
        height=150,
        margin={"l": 0, "r": 0, "t": 5, "b": 0},
        showlegend=False,
        bargap=0,
        xaxis={"range": [0, 1]},
        yaxis={"showticklabels": False},
        yaxis2={
            "overlaying": "y",
            "side": "right",
            "range": [0, 1.02],
            "tickformat": ".0%",
            "tickvals": [0, 0.5, 1],
        },
    )
    return figure


def kind_of(node: Node) -> str:
    """What a layer does, one of `KINDS`."""
    for part, kind in (
        ("Conv", "convolution"),
        ("BatchNorm", "normalisation"),
        ("Pool", "pooling"),
        ("UpSampling", "upsampling"),
        ("HistNorm", "equalisation"),
        ("Add", "joining"),
        ("Multiply", "joining"),
        ("Dense", "decision"),
    ):
        if part in node.kind:
            return kind
    return "other"


def graph_chart(nodes: list[Node], chosen: str, words: dict) -> go.Figure:
    """The graph from left to right, high where films are large: the U-Net draws its own U."""
    at = {node.name: (node.depth, _height(node)) for node in nodes}
    lines = [(at[name], at[node.name]) for node in nodes for name in node.inputs]
    figure = go.Figure()
    figure.add_scatter(
        x=[x for (x0, _), (x1, _) in lines for x in (x0, x1, None)],
        y=[y for (_, y0), (_, y1) in lines for y in (y0, y1, None)],
        mode="lines",
        line={"color": GREY, "width": 1},
        hoverinfo="skip",
        showlegend=False,
    )
    for kind, (colour, mark) in KINDS.items():
        of_kind = [node for node in nodes if kind_of(node) == kind]
        if of_kind:
            figure.add_scatter(
                x=[at[n.name][0] for n in of_kind],
                y=[at[n.name][1] for n in of_kind],
                mode="markers",
                marker={"symbol": mark, "color": colour, "size": 11},
                name=words[kind],
                customdata=[[n.name, shape_text(n.shape)] for n in of_kind],
                hovertemplate="%{customdata[0]}<br>%{customdata[1]}<extra></extra>",
            )
    x, y = at[chosen]
    figure.add_scatter(
        x=[x], y=[y], mode="markers", hoverinfo="skip", name=words["chosen"],
        marker={"symbol": "circle-open", "size": 22, "color": ORANGE, "line": {"width": 3}},
    )  # fmt: skip
    sides = sorted({n.shape[0] for n in nodes if len(n.shape) == 3 and n.shape[0]})
    sides = [s for s in sides if s & (s - 1) == 0]  # powers of two are enough of a scale
    figure.update_layout(height=420, margin=MARGIN, dragmode="pan", legend=LEGEND)
    figure.update_xaxes(title=words["depth"], showgrid=False)
    figure.update_yaxes(
        title=words["side"], tickvals=[float(np.log2(s)) for s in sides], ticktext=sides
    )
    return figure


def _height(node: Node) -> float:
    if len(node.shape) < 3:
        return 0.0
    return float(np.log2(node.shape[0])) if node.shape[0] else 9.0


def shape_text(shape: tuple) -> str:
    """(256, 256, 16) -> "256 × 256 × 16"."""
    return " × ".join("?" if side is None else str(side) for side in shape)


def channel_grid(output: np.ndarray) -> np.ndarray:
    """The first `CHANNELS` channels of (rows, columns, channels), side by side, uint8 RGB.

    Each channel is spread over the colours from its own 1st to its own 99th percentile.
    """
    tiles = [_tile(output[..., i]) for i in range(min(CHANNELS, output.shape[-1]))]
    columns = min(8, len(tiles))
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    return np.vstack(rows)


def _tile(channel: np.ndarray) -> np.ndarray:
    low, high = np.percentile(channel, (1, 99))
    unit = ((channel - low) / max(high - low, 1e-9)).clip(0, 1)
    small = cv2.resize(unit, (TILE, TILE), interpolation=cv2.INTER_NEAREST)
    coloured = np.rint(colormaps["cividis"](small)[..., :3] * 255).astype(np.uint8)
    return cv2.copyMakeBorder(coloured, 2, 2, 2, 2, cv2.BORDER_CONSTANT)


def stages_slide(stages: list[Stage], titles: dict[str, str], note: str, form: str) -> bytes:
    """All stages with their histograms on one slide; ``form``: "svg" or "png"."""
    figure = Figure(figsize=(16, 5.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, len(stages), height_ratios=(3, 1), squeeze=False)
    for (top, bottom), stage in zip(axes.T, stages, strict=True):
        top.imshow(picture(stage), cmap="gray", vmin=0, vmax=255)
        top.set_title(titles[stage.name], fontsize=11)
        top.axis("off")
        centres, shares, sums = stage.histogram()
        bottom.bar(centres, shares / max(shares.max(), 1e-9), centres[1] - centres[0], color=GREY)
        bottom.plot(centres, sums, color=BLUE)
        bottom.set(xlim=(0, 1), ylim=(0, 1.05), yticks=[])
    figure.supxlabel(note, fontsize=9)
    target = io.BytesIO()
    figure.savefig(target, format=form, dpi=120)
    return target.getvalue()
