"""What the database holds: statistics in, charts out. No streamlit."""

import io

import plotly.graph_objects as go
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from app.views.charts import BLUE, GREEN, GREY, LEGEND, MARGIN, ORANGE

PURPLE, GOLD, SKY, BLACK = "#CC79A7", "#E69F00", "#56B4E9", "#4D4D4D"
CLASS_STYLES = {  # colour, dash and mark: none is told by colour alone
    "COVID": (ORANGE, "solid", "square"),
    "Normal": (BLUE, "dash", "circle"),
    "Lung_Opacity": (GREEN, "dot", "diamond"),
    "Viral Pneumonia": (PURPLE, "dashdot", "triangle-up"),
}
SOURCE_STYLES = {  # colour and hatching
    "bimcv": (ORANGE, "/"),
    "covid-cxnet": (GOLD, "\\"),
    "eurorad": (PURPLE, "x"),
    "ml-workgroup": (GREY, "-"),
    "ieee8023": (BLACK, "|"),
    "sirm": ("#F0E442", "+"),
    "rsna": (BLUE, ""),
    "kermany": (SKY, "."),
}
OTHER_SOURCE = (GREEN, "")
HATCHES = {"-": "--", "|": "||", ".": "..", "+": "++"}  # matplotlib's are thinner


def counts_chart(whole: dict[str, int], here: dict[str, int], words: dict) -> go.Figure:
    """Films per class in the whole database, and of those the ones at hand."""
    figure = go.Figure()
    for key, counts, colour, hatch in (
        ("whole", whole, GREY, ""),
        ("here", here, BLUE, "/"),
    ):
        figure.add_bar(
            y=[words[name] for name in counts],
            x=list(counts.values()),
            name=words[key],
            orientation="h",
            text=list(counts.values()),
            textposition="outside",
            cliponaxis=False,
            marker={"color": colour, "pattern": {"shape": hatch}},
        )
    return _laid_out(figure, words["films"], height=300, barmode="group")


def sources_chart(whole: dict[str, dict[str, int]], words: dict) -> go.Figure:
    """Share of each source per class."""
    figure = go.Figure()
    for source in _sources(whole):
        colour, hatch = SOURCE_STYLES.get(source, OTHER_SOURCE)
        counts = [sources.get(source, 0) for sources in whole.values()]
        totals = [sum(sources.values()) for sources in whole.values()]
        figure.add_bar(
            y=[words[label] for label in whole],
            x=[c / t for c, t in zip(counts, totals, strict=True)],
            customdata=counts,
            name=source,
            orientation="h",
            marker={"color": colour, "pattern": {"shape": hatch, "fillmode": "overlay"}},
            hovertemplate="%{y}, " + source + ": %{x:.1%} (%{customdata})<extra></extra>",
        )
    figure.update_xaxes(tickformat=".0%")
    return _laid_out(figure, words["share_of_class"], height=320, barmode="stack")


def _sources(whole: dict[str, dict[str, int]]) -> list[str]:
    return list(dict.fromkeys(source for sources in whole.values() for source in sources))


def brightness_chart(sets: dict[str, dict], words: dict) -> go.Figure:
    """How bright the films of each class are."""
    lines = {}
    for label, described in sets.items():
        counts = described["brightness"]["counts"]
        lines[label] = [count / sum(counts) for count in counts]
    return _lines(lines, words, words["brightness"], words["share_of_films"])


def levels_chart(sets: dict[str, dict], kind: str, words: dict) -> go.Figure:
    """How often each grey level occurs per class, of one kind of picture."""
    lines = {label: described["levels"][kind] for label, described in sets.items()}
    return _lines(lines, words, words["level"], words["share_of_pixels"])


def _lines(lines: dict[str, list[float] | None], words: dict, x: str, y: str) -> go.Figure:
    figure = go.Figure()
    for label, values in lines.items():
        if values:
            colour, dash, _mark = CLASS_STYLES[label]
            step = 256 / len(values)
            figure.add_scatter(
                x=[(i + 0.5) * step for i in range(len(values))],
                y=values,
                name=words[label],
                line={"color": colour, "dash": dash},
            )
    figure.update_yaxes(title=y, rangemode="tozero")
    return _laid_out(figure, x, height=320)


def batch_chart(labels: list[str], words: dict) -> go.Figure:
    """One batch, a mark per film."""
    figure = go.Figure()
    columns = 12
    for label, (colour, _dash, mark) in CLASS_STYLES.items():
        places = [i for i, name in enumerate(labels) if name == label]
        figure.add_scatter(
            x=[i % columns for i in places],
            y=[-(i // columns) for i in places],
            mode="markers",
            name=f"{words[label]}: {len(places)}",
            marker={"symbol": mark, "color": colour, "size": 18},
            hoverinfo="name",
        )
    figure.update_xaxes(visible=False, range=[-0.6, columns - 0.4])
    rows = -(-len(labels) // columns)
    figure.update_yaxes(visible=False, range=[-rows + 0.4, 0.6])
    return _laid_out(figure, "", height=90 + 34 * rows)


def shares_chart(database: dict[str, float], batch: dict[str, float], words: dict) -> go.Figure:
    """Share of each class in the database and in a batch."""
    figure = go.Figure()
    for key, shares, colour, hatch in (
        ("in_database", database, GREY, ""),
        ("in_batch", batch, BLUE, "/"),
    ):
        figure.add_bar(
            x=[words[label] for label in shares],
            y=list(shares.values()),
            name=words[key],
            marker={"color": colour, "pattern": {"shape": hatch}},
        )
    figure.update_yaxes(tickformat=".0%")
    return _laid_out(figure, "", height=300, barmode="group")


def _laid_out(figure: go.Figure, x: str, **layout) -> go.Figure:
    figure.update_layout(margin=MARGIN, legend=LEGEND, **layout)
    figure.update_xaxes(title=x)
    return figure


def sources_slide(
    whole: dict[str, dict[str, int]], words: dict, title: str, note: str, form: str
) -> bytes:
    """Class against source on one slide; ``form``: "svg" or "png"."""
    figure = Figure(figsize=(12, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    left = [0.0] * len(whole)
    for source in _sources(whole):
        colour, hatch = SOURCE_STYLES.get(source, OTHER_SOURCE)
        shares = [s.get(source, 0) / sum(s.values()) for s in whole.values()]
        axes.barh(
            [words[label] for label in whole],
            shares,
            left=left,
            color=colour,
            hatch=HATCHES.get(hatch, hatch * 2),
            edgecolor="white",
            label=source,
        )
        left = [a + b for a, b in zip(left, shares, strict=True)]
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.set_title(title)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    figure.supxlabel(note, fontsize=9)
    target = io.BytesIO()
    figure.savefig(target, format=form, dpi=120)
    return target.getvalue()
