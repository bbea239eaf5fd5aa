"""Every word of the printed page, in the reader's language."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime

from pipeline.inference.diagnosis import Diagnosis
from pipeline.report.operating_point import operating_point
from pipeline.text.formatting import date_and_time, number, percent, sentence


def _spaced(translate: Callable[[str], str]) -> Callable[[str], str]:
    """French sets a space before some signs, at which no line may break."""
    return lambda text: re.sub(r" (?=[:;!?%»])", "\u00a0", translate(text))


class Wording:
    """The texts of a page; ``translate`` turns English into ``language``."""

    def __init__(self, translate: Callable[[str], str], language: str):
        self.language = language
        self.translate = _spaced(translate) if language == "fr" else translate

    def title(self) -> str:
        _ = self.translate
        return _("Automatic reading of a chest radiograph")

    def warning(self) -> str:
        _ = self.translate
        return _("Not for diagnostic use. A research demonstration: no decision may rest on it.")

    def synthetic(self) -> str:
        _ = self.translate
        return _("Synthetic film, drawn by a program: it shows no patient.")

    def identity(self, typed: str) -> str:
        _ = self.translate
        return _("Identity, as typed by the reader: {identity}").format(identity=typed)

    def not_writable(self) -> str:
        _ = self.translate
        return _(
            "The identity has letters that this page cannot print (□ stands for each; it prints "
            "Latin, Greek and Cyrillic): write it by hand."
        )

    def model(self, name: str) -> str:
        _ = self.translate
        return {"light": _("Light CNN"), "xception": "Xception"}.get(name, name)

    def captions(self, diagnoses: Sequence[Diagnosis]) -> list[str]:
        """Of the film, of the lungs that the first model's U-Net found, of every heatmap."""
        _ = self.translate
        area = percent(diagnoses[0].lung_area_fraction, self.language)
        lungs = _("Lungs found by the U-Net ({area} of the film)").format(area=area)
        return [_("Film"), lungs, *(self._heatmap(d, len(diagnoses) > 1) for d in diagnoses)]

    def _heatmap(self, diagnosis: Diagnosis, several: bool) -> str:
        _ = self.translate
        if diagnosis.verdict.may_score:
            text = _(
                "Where the evidence for COVID lies ({cam}): violet is weak, yellow strong, on one "
                "scale for all films"
            ).format(cam=diagnosis.cam)
        else:
            text = _("No heatmap: the score is withheld.")
        return f"{self.model(diagnosis.model)}. {text}" if several else text

    def table(self, diagnoses: Sequence[Diagnosis]) -> list[list[str]]:
        """Rows of a label and one text per model; the first row names the models."""
        _ = self.translate
        points = [operating_point(d) for d in diagnoses]
        columns = zip(diagnoses, points, strict=True)
        labels = [
            _("Model"),
            _("Result"),
            _("COVID score, 0 to 1"),
            _("Threshold (operating point)"),
            _("Sensitivity on test films"),
            _("Specificity on test films"),
            _("Quality gate"),
            _("Lung area"),
        ]
        return [list(row) for row in zip(labels, *(self._column(*c) for c in columns), strict=True)]

    def _column(self, diagnosis: Diagnosis, point: dict | None) -> list[str]:
        _ = self.translate
        area = percent(diagnosis.lung_area_fraction, self.language, 1)
        if diagnosis.verdict.may_score:
            gate = _("Passed: two lungs of plausible size and place were found.")
            score = number(diagnosis.score, self.language, 3)
            result = _("COVID-19 suspected") if diagnosis.positive else _("COVID-19 not suspected")
        else:
            gate = "\n".join(
                sentence(reason, self.translate, self.language)
                for reason in diagnosis.verdict.reasons
            )
            score, result, point = _("withheld"), _("No score for this film"), None
        return [
            self.model(diagnosis.model),
            result,
            score,
            self._threshold(diagnosis, point),
            self._interval(diagnosis, point, "sensitivity"),
            self._interval(diagnosis, point, "specificity"),
            gate,
            _("{area} of the film").format(area=area),
        ]

    def _threshold(self, diagnosis: Diagnosis, point: dict | None) -> str:
        _ = self.translate
        names = {
            "screening": _("screening"),
            "balanced": _("balanced"),
            "confirming": _("confirming"),
        }
        threshold = number(diagnosis.threshold, self.language, 3)
        name = names.get(point["name"]) if point else None
        return f"{threshold} ({name})" if name else threshold

    def _interval(self, diagnosis: Diagnosis, point: dict | None, key: str) -> str:
        _ = self.translate
        if not diagnosis.verdict.may_score:
            return "–"
        if point is None or point[key]["value"] is None:
            return _("not measured with these weights at this threshold")
        shares = {k: percent(point[key][k], self.language, 1) for k in ("value", "low", "high")}
        count = number(point[key]["n"], self.language, 0)
        return _("{value} (95 % interval {low} to {high}), {n} films").format(n=count, **shares)

    def meaning(self, diagnoses: Sequence[Diagnosis]) -> list[str]:
        """What the score says and what it does not; nothing where there is none."""
        _ = self.translate
        if not any(d.verdict.may_score for d in diagnoses):
            return []
        return [
            _(
                "The score orders films by how much they resemble the COVID films of the database; "
                "it is not the probability that this patient is ill. In that database COVID films "
                "come from other hospitals than the rest, so the score measures disease and source "
                "together."
            )
        ]

    def provenance(self, diagnoses: Sequence[Diagnosis], when: datetime) -> list[tuple[str, str]]:
        """Labels and values of what was read, with what, and when."""
        _ = self.translate
        first = diagnoses[0]
        film = first.radiograph
        rows = [
            (_("Date and time"), date_and_time(when, self.language)),
            (_("Version"), f"Pulmoscope {first.version}"),
            (_("Film"), self._film(first)),
            (_("sha256 of the film"), film.sha256),
            (_("sha256 of the weights, U-Net"), first.unet_sha256),
        ]
        if film.repairs:
            rows.insert(3, (_("Repaired"), ", ".join(self._repair(code) for code in film.repairs)))
        notes = [sentence(note, self.translate, self.language) for note in film.notes]
        if notes:
            rows.insert(3, (_("Remark"), " ".join(notes)))
        for diagnosis in diagnoses:
            label = _("sha256 of the weights, {model}").format(model=self.model(diagnosis.model))
            rows.append((label, diagnosis.weights_sha256))
        return rows

    def _film(self, diagnosis: Diagnosis) -> str:
        _ = self.translate
        film = diagnosis.radiograph
        text = _("{format}, {rows} x {columns} pixels, {bits} bits").format(
            format=film.format, rows=film.shape[0], columns=film.shape[1], bits=film.bits
        )
        return ", ".join(part for part in (text, film.photometric, film.projection) if part)

    def _repair(self, code: str) -> str:
        _ = self.translate
        if code == "inverted":
            return _("inverted before reading")
        if code == "mirrored":
            return _("mirrored before reading")
        return _("turned before reading")
