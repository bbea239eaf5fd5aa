"""Measured figures in, plotly charts out. No streamlit, no arithmetic on scores."""

import plotly.graph_objects as go

# Okabe and Ito's colours, told apart by every kind of colour vision; dashes and marks differ too.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#767676"
METHOD_STYLES = {
    "gradcam": (BLUE, "solid"),
    "gradcam++": (ORANGE, "dash"),
    "hirescam": (GREEN, "dot"),
    "layercam": ("#CC79A7", "dashdot"),
    "cellwise": ("#B8860B", "longdash"),
    "random": (GREY, "longdashdot"),
}
LEGEND = {"orientation": "h", "y": 1.02, "yanchor": "bottom"}  # below, it hides the axis's title
MARGIN = {"l": 10, "r": 10, "t": 40, "b": 10}


def roc_chart(roc: dict, points: dict[str, tuple[float, float]], words: dict) -> go.Figure:
    """ROC curve with its band; ``points``: name to (1 - specificity, sensitivity)."""
    figure = _with_band(roc["fpr"], roc["tpr"], roc["low"], roc["high"], words)
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": GREY, "dash": "dot"}, name=words["chance"]
    )
    marks = (("circle", ORANGE), ("diamond", GREEN))
    for (mark, colour), (name, (x, y)) in zip(marks, points.items(), strict=False):
        marker = {"symbol": mark, "size": 12, "color": colour}
        figure.add_scatter(x=[x], y=[y], mode="markers", name=name, marker=marker)
    return _labelled(figure, words["fpr"], words["tpr"], words["roc"])


def precision_recall_chart(curve: dict, words: dict) -> go.Figure:
    """Precision-recall curve with its band and the prevalence as the line of chance."""
    figure = _with_band(curve["recall"], curve["precision"], curve["low"], curve["high"], words)
    figure.add_hline(curve["prevalence"], line={"color": GREY, "dash": "dot"})
    return _labelled(figure, words["recall"], words["precision"], words["precision_recall"])


def confusion_chart(table: dict[str, dict[str, int]], words: dict) -> go.Figure:
    """Confusion matrix: rows are what films are, columns what the model says; counts as text."""
    rows, columns = list(table), list(next(iter(table.values())))
    counts = [[table[r][c] for c in columns] for r in rows]
    shares = [[n / max(sum(row), 1) for n in row] for row in counts]
    figure = go.Figure(
        go.Heatmap(
            z=shares,
            x=columns,
            y=rows,
            text=counts,
            texttemplate="%{text}",
            textfont={"size": 18},
            colorscale="Cividis",
            zmin=0,
            zmax=1,
            colorbar={"title": words["share"], "tickformat": ".0%"},
            hovertemplate="%{y} → %{x}: %{text} (%{z:.1%})<extra></extra>",
        )
    )
    figure.update_yaxes(autorange="reversed")
    return _labelled(figure, words["said"], words["is"], words["confusion"])


def reliability_chart(calibration: dict, words: dict) -> go.Figure:
    """Share of COVID films by score, before and after Platt scaling, with intervals."""
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": GREY, "dash": "dot"}, name=words["ideal"]
    )
    for key, colour, mark in (("before", ORANGE, "square"), ("after", BLUE, "circle")):
        bins = calibration[key]["diagram"]
        shares = [b["share"] for b in bins]
        figure.add_scatter(
            x=[b["mean"] for b in bins],
            y=[s["value"] for s in shares],
            error_y={
                "array": [s["high"] - s["value"] for s in shares],
                "arrayminus": [s["value"] - s["low"] for s in shares],
                "thickness": 1,
            },
            mode="lines+markers",
            name=words[key],
            marker={"symbol": mark, "size": 9},
            line={"color": colour},
        )
    return _labelled(figure, words["score"], words["share_covid"], words["reliability"])


def training_chart(history: list[dict], words: dict) -> go.Figure:
    """Training loss by epoch, and that on validation images where it was taken; a dotted line where
    a stage begins."""
    figure = go.Figure()
    epochs = list(range(1, len(history) + 1))
    series = (
        ("training", [h["loss"] for h in history], BLUE, "solid"),
        ("validation", [h["validation"].get("loss") for h in history], ORANGE, "dash"),
    )
    for key, values, colour, dash in series:
        if None in values:
            continue
        figure.add_scatter(
            x=epochs, y=values, name=words[key], line={"color": colour, "dash": dash}
        )
    starts = [e for e, h in zip(epochs, history, strict=True) if h["epoch"] == 1]
    before = None
    for epoch in starts:
        size = history[epoch - 1]["size"]
        label = {} if size == before else {"annotation_text": f"{size} px"}
        figure.add_vline(epoch - 0.5, line={"color": GREY, "dash": "dot"}, **label)
        before = size
    return _labelled(figure, words["epoch"], words["loss"], words["curves"], square=False)


def curves_chart(methods: dict[str, dict], key: str, words: dict) -> go.Figure:
    """Mean COVID score while lung pixels go ("deletion") or come ("insertion"), per method."""
    figure = go.Figure()
    for name, values in methods.items():
        colour, dash = METHOD_STYLES.get(name, (GREY, "dot"))
        curve = values[f"{key}_curve"]
        shares = [i / (len(curve) - 1) for i in range(len(curve))]
        style = {"color": colour, "dash": dash}
        figure.add_scatter(x=shares, y=curve, name=words.get(name, name), line=style)
    return _labelled(figure, words["pixels"], words["score"], words[key], square=False)


def _with_band(x, y, low, high, words) -> go.Figure:
    figure = go.Figure()
    figure.add_scatter(
        x=[*x, *x[::-1]],
        y=[*high, *low[::-1]],
        fill="toself",
        fillcolor="rgba(0,114,178,0.2)",
        line={"width": 0},
        hoverinfo="skip",
        name=words["band"],
    )
    figure.add_scatter(x=x, y=y, mode="lines", line={"color": BLUE}, name=words["curve"])
    return figure


def _labelled(figure: go.Figure, x: str, y: str, title: str, square: bool = True) -> go.Figure:
    figure.update_layout(title=title, margin=MARGIN, legend={"orientation": "h", "y": -0.25})
    figure.update_xaxes(title=x)
    figure.update_yaxes(title=y)
    if square and not isinstance(figure.data[0], go.Heatmap):
        figure.update_xaxes(range=[0, 1])
        figure.update_yaxes(range=[0, 1.01])
    return figure
