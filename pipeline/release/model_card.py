"""The tables of scores in ``weights/README.md`` and ``README.md``, as `evaluate` measured them."""

from pathlib import Path
from typing import Any

from pipeline.evaluation.estimates import Estimate
from pipeline.models import registry
from pipeline.release.measurements import measured_gate, measured_together, scores_on_test_films

README = Path(__file__).resolve().parents[2] / "README.md"
NICE = {"light": "light CNN", "xception": "Xception"}
ELSEWHERE = {
    "adults": "database's adults",
    "siim": "SIIM-COVID19 patients, typical against negative",
}
START, END = "<!-- scores -->", "<!-- /scores -->"
NAMES = {
    "auc": "AUC",
    "sensitivity": "sensitivity (recall)",
    "specificity": "specificity",
    "accuracy": "accuracy",
    "precision": "precision",
}
GATE = {
    "films": "test images",
    "turned": "test images, rotated or inverted",
    "cut": "test images, cropped to one half",
    "pictures": "images that are not chest radiographs",
}
GATE_NAMES = {
    "inverted": "inverted images",
    "turned_left": "images with their top to the left",
    "turned_right": "images with their top to the right",
    "upside_down": "images upside down",
}


def score_table(folder: Path | None = None) -> str:
    """Markdown table of every classifier's scores on test images, and the U-Net's."""
    lines = ["| model | score | value | 95% CI | n |", "|---|---|---|---|---|"]
    masks = {}
    for model in registry.classifiers(folder, every=True):
        scores = scores_on_test_films(model, folder)
        if scores:
            label = f"{model}, COVID from {scores['threshold']:.3f}"
            lines += [_row(label, name, scores[key]) for key, name in NAMES.items()]
            lines.append(
                f"| {model} | Brier score, ECE | {scores['brier']:.3f}, "
                f"{scores['ece']:.3f} | | {scores['n']} |"
            )
            lines += _elsewhere(model, scores)
            sets = {
                "database masks": scores["segmentation"],
                "these in the whole database's class proportions": scores[
                    "segmentation_as_database"
                ],
                **{f"{k} masks": v for k, v in scores["segmentation_by_set"].items()},
            }
            size = registry.entry(model, folder).input_size
            masks[size] = [
                _row(f"U-Net at {size} px, {name}", key, agreement[key])
                for name, agreement in sets.items()
                for key in ("dice", "iou", "accuracy")
                if agreement[key]["value"] is not None
            ]
    both = measured_together(folder)
    if both:
        label = f"{' and '.join(both['alone'])} together"
        lines += [_row(label, name, both["together"][key]) for key, name in NAMES.items()]
    lines += [row for rows in masks.values() for row in rows]
    judged = measured_gate(folder)
    if judged:
        refused = {GATE[name]: row for name, row in judged["total"].items()}
        lines += [_row("quality check, no score", name, row) for name, row in refused.items()]
        named = {GATE_NAMES[k]: v["named"] for k, v in judged["rows"]["turned"].items()}
        lines += [_row("quality check, correctly named", name, row) for name, row in named.items()]
    return "\n".join(lines)


def _elsewhere(model: str, scores: dict[str, Any]) -> list[str]:
    """Rows of adults, other hospitals and doubtful labels, and of the three answers."""
    found = scores.get("elsewhere") or {}
    rows = [
        (f"{model}, {title}", NAMES[key], found[block][key])
        for block, title in ELSEWHERE.items()
        if block in found
        for key in ("auc", "sensitivity", "specificity")
    ]
    rows += [
        (f"{model}, called COVID", f"{title}, {finding}", called)
        for block, title in (("siim", "SIIM-COVID19"), ("shenzhen", "Shenzhen"))
        for finding, called in found.get(block, {}).get("called_covid", {}).items()
    ]
    if "contradictory" in found:
        name = "database's COVID class, contradictory"
        rows.append((f"{model}, called COVID", name, found["contradictory"]["called_covid"]))
    for group, said in ((scores.get("triage") or {}).get("groups") or {}).items():
        rows.append((f"{model}, triage, uncertain", group, said["uncertain"]))
        rows.append((f"{model}, triage, wrong among likely and unlikely", group, said["wrong"]))
    return [_row(*row) for row in rows if row[2]["value"] is not None]


def _row(model: str, name: str, record: dict[str, Any]) -> str:
    scored = Estimate(**record)
    interval = f"{scored.low:.4f} to {scored.high:.4f}"
    return f"| {model} | {name} | {scored.value:.4f} | {interval} | {scored.n} |"


def short_table(folder: Path | None = None) -> str:
    """Markdown table of what most readers ask for first."""
    lines = [
        "| on test images | AUC | sensitivity | specificity | n |",
        "|---|---|---|---|---|",
    ]
    names = ("auc", "sensitivity", "specificity")
    rows = {
        NICE[model]: scores
        for model in registry.classifiers(folder)
        if (scores := scores_on_test_films(model, folder))
    }
    if both := measured_together(folder):
        rows["both, mean of their log-odds"] = both["together"]
    for name, scores in rows.items():
        cells = " | ".join(_short(scores[key]) for key in names)
        lines.append(f"| {name} | {cells} | {scores['n']} |")
    for model in registry.classifiers(folder):
        scores = scores_on_test_films(model, folder) or {}
        if siim := (scores.get("elsewhere") or {}).get("siim"):
            cells = " | ".join(_short(siim[key]) for key in names)
            lines.append(f"| {NICE[model]}, SIIM-COVID19 | {cells} | {siim['n']} |")
    segmentation = scores_on_test_films("light", folder)
    if segmentation:
        dice = segmentation["segmentation"]["dice"]
        lines += ["", f"U-Net: Dice {_short(dice)} on {dice['n']} test images with a lung mask."]
    return "\n".join(lines)


def _short(record: dict[str, Any]) -> str:
    scored = Estimate(**record)
    return f"{scored.value:.3f} ({scored.low:.3f} to {scored.high:.3f})"


def write_card(folder: Path | None = None, readme: Path = README) -> None:
    """Put the tables into the model card and the project's README."""
    card = (folder or registry.weights_folder()) / "README.md"
    for path, table in ((card, score_table(folder)), (readme, short_table(folder))):
        before, rest = path.read_text(encoding="utf-8").split(START)
        after = rest.split(END)[1]
        path.write_text(f"{before}{START}\n{table}\n{END}{after}", encoding="utf-8")
