"""Put what ``python -m pipeline bench`` measured into docs/speed.md.

python -m pipeline bench --json docs/speed.json
python -m pipeline.cli.speed_page
"""

import json
from pathlib import Path

from pipeline.models.registry import ROOT

PAGE, FIGURES = ROOT / "docs/speed.md", ROOT / "docs/speed.json"
START, END = "<!-- bench -->", "<!-- /bench -->"
NICE = {"light": "light", "xception": "Xception"}


def table(figures: dict) -> str:
    """Markdown of figures of `pipeline.cli.bench.bench`; parts that were not measured are left
    out."""
    machine = figures["machine"]
    versions = ", ".join(f"{name} {v}" for name, v in machine["versions"].items())
    lines = [
        f"{machine['device']}, {machine['cores']} cores, {machine['threads']} threads used; "
        f"{versions}. Median (quartiles; n).",
        "",
        "| what | median (quartiles; n) |",
        "|---|---|",
    ]
    for model, found in figures.get("engines", {}).items():
        if "skipped" in found:
            continue
        name = f"{NICE.get(model, model)}, image of 1024 px to mask, score and heatmap"
        lines.append(_row(f"{name}: ONNX Runtime, ms", found["onnx_ms"]))
        lines.append(_row(f"{name}: Keras on TensorFlow, ms", found["keras_ms"]))
        lines.append(_row(f"{name}: ONNX Runtime faster by", found["times_faster"], " times"))
        lines.append(_row(f"{name}: processor time, ONNX Runtime, ms", found["onnx_processor_ms"]))
        lines.append(_row(f"{name}: processor time, Keras, ms", found["keras_processor_ms"]))
        lines.append(_row(f"{name}: less of it by", found["times_less_work"], " times"))
    for engine, found in figures.get("start", {}).items():
        name = {"onnx": "ONNX Runtime", "keras": "Keras on TensorFlow"}[engine]
        lines.append(_row(f"new process to both models ready, {name}, s", found["seconds"]))
        lines.append(_row(f"its resident memory, {name}, MB", found["resident_mb"]))
    equalising = figures.get("hist_norm", {})
    for key, name in (
        ("onnx_times_opencv", "HistNorm on ONNX Runtime"),
        ("keras_times_opencv", "HistNorm on TensorFlow"),
        ("keras_equalization_times_opencv", "`keras.layers.Equalization`"),
    ):
        if key in equalising:
            title = f"{name}, batch of 64: time per image over that of `cv2.equalizeHist`"
            lines.append(_row(title, equalising[key], " times"))
    return "\n".join(lines)


def _row(what: str, measured: dict, unit: str = "") -> str:
    median, low, high = (f"{measured[key]:.3g}" for key in ("median", "low", "high"))
    return f"| {what} | {median}{unit} ({low} to {high}; {measured['n']}) |"


def write_page(figures: Path = FIGURES, page: Path = PAGE) -> None:
    """Put the table between the marks of the page."""
    before, rest = page.read_text(encoding="utf-8").split(START)
    after = rest.split(END)[1]
    made = (
        f"{before}{START}\n{table(json.loads(figures.read_text(encoding='utf-8')))}\n{END}{after}"
    )
    page.write_text(made, encoding="utf-8")


if __name__ == "__main__":
    write_page()
