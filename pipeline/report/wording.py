"""Every word of the printed page, in the reader's language."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime

from pipeline.explain.gradcam import METHOD_NAMES
from pipeline.inference.diagnosis import Diagnosis
from pipeline.inference.stability import Stability
from pipeline.io.spacing import DETECTOR
from pipeline.models.triage import LIKELY, UNCERTAIN, UNLIKELY, TriageLimits
from pipeline.quality.measures import LungMeasures
from pipeline.report.operating_point import operating_point
from pipeline.text.formatting import date_and_time, number, percent, sentence

KINDS = ("height", "width", "area")


def triage_guarantee(limits: TriageLimits, translate: Callable[[str], str], language: str) -> str:
    """What likely and unlikely promise, and where they do not."""
    _ = translate
    return _(
        "“Likely” and “unlikely” are given only where, on images like those used to set the "
        "limits, at most {rate} of these answers are wrong (with {confidence} confidence); "
        "otherwise the answer is “uncertain”. This guarantee does not hold in other hospitals."
    ).format(rate=percent(limits.rate, language), confidence=percent(limits.confidence, language))


def triage_names(translate: Callable[[str], str]) -> dict[str, str]:
    """The three answers in words."""
    _ = translate
    return {
        LIKELY: _("COVID-19 likely"),
        UNLIKELY: _("COVID-19 unlikely"),
        UNCERTAIN: _("uncertain"),
    }


def measures_text(
    measures: LungMeasures | None, translate: Callable[[str], str], language: str
) -> str:
    """Height, width and area of the lungs and the cardiothoracic ratio; nothing where none is."""
    _ = translate
    parts = []
    if measures and measures.at:
        for name, side in ((_("right lung"), "right"), (_("left lung"), "left")):
            height, width, area = (getattr(measures, f"{side}_{k}") for k in KINDS)
            parts.append(
                _("{name} {height} × {width} mm, {area} cm²").format(
                    name=name,
                    height=number(height, language, 0),
                    width=number(width, language, 0),
                    area=number(area, language, 0),
                )
            )
    if measures and measures.cardiothoracic_ratio:
        ratio = number(measures.cardiothoracic_ratio, language, 2)
        parts.append(_("cardiothoracic ratio {ratio} (estimated)").format(ratio=ratio))
    return "; ".join(parts)


def measures_limits(measures: LungMeasures, translate: Callable[[str], str]) -> str:
    """What the measures rest on, and where they do not hold."""
    _ = translate
    said = [
        _(
            "Measured on the outline of the lungs, and the ratio on what they leave between them: "
            "the heart itself is not seen. The ratio applies to upright PA images in full "
            "inspiration; AP and supine images enlarge the heart. Not compared with measurements "
            "by hand."
        )
    ]
    if measures.at == DETECTOR:
        said.append(
            _("Lengths apply at the detector: in the patient they are some 5 to 20% shorter.")
        )
    return " ".join(said)


def _spaced(translate: Callable[[str], str]) -> Callable[[str], str]:
    """French sets a space before some signs, at which no line may break."""
    return lambda text: re.sub(r" (?=[:;!?%»])", "\u00a0", translate(text))


def stability_sentence(
    stability: Stability, threshold: float, translate: Callable[[str], str], language: str
) -> str:
    """The range of the scores of slightly changed copies, and how many change the answer."""
    _ = translate
    return _(
        "On {n} slightly changed copies the score runs from {low} to {high}; the answer changes in "
        "{changed} of {n}."
    ).format(
        n=stability.n,
        low=number(stability.low, language),
        high=number(stability.high, language),
        changed=stability.changed(threshold),
    )


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
        return _(
            "Not for diagnostic use. Research demonstration. Do not use it for clinical decisions."
        )

    def synthetic(self) -> str:
        _ = self.translate
        return _("Synthetic image, drawn by a program: it shows no patient.")

    def identity(self, typed: str) -> str:
        _ = self.translate
        return _("Patient label as typed: {identity}").format(identity=typed)

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
        lungs = _("Lungs found by the U-Net ({area} of the image)").format(area=area)
        return [_("Image"), lungs, *(self._heatmap(d, len(diagnoses) > 1) for d in diagnoses)]

    def _heatmap(self, diagnosis: Diagnosis, several: bool) -> str:
        _ = self.translate
        if diagnosis.verdict.may_score:
            text = _(
                "Evidence for COVID ({cam}): violet weak, yellow strong, same scale for all images"
            ).format(cam=METHOD_NAMES.get(diagnosis.cam, _("Cell-wise")))
        else:
            text = _("No heatmap: no score was given.")
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
            _("Sensitivity on test images"),
            _("Specificity on test images"),
            _("Quality check"),
            _("Lung area"),
            _("Measures"),
        ]
        rows = [list(row) for row in zip(labels, *(self._column(*c) for c in columns), strict=True)]
        if any(d.class_shares for d in diagnoses):
            rows.insert(3, [_("Shares of the classes"), *map(self._classes, diagnoses)])
        if any(d.triage for d in diagnoses):
            names = triage_names(_)
            said = [names[d.triage] if d.triage else "–" for d in diagnoses]
            rows.insert(2, [_("Triage"), *said])
        if any(d.stability for d in diagnoses):
            rows.append([_("Stability"), *(self._stability(d) for d in diagnoses)])
        return rows

    def _stability(self, diagnosis: Diagnosis) -> str:
        if diagnosis.stability is None or not diagnosis.verdict.may_score:
            return "–"
        return stability_sentence(
            diagnosis.stability, diagnosis.threshold, self.translate, self.language
        )

    def _column(self, diagnosis: Diagnosis, point: dict | None) -> list[str]:
        _ = self.translate
        area = percent(diagnosis.lung_area_fraction, self.language, 1)
        if diagnosis.verdict.may_score:
            gate = _("Passed: two lungs of plausible size and position were found.")
            score = number(diagnosis.score, self.language, 3)
            result = _("COVID-19 suspected") if diagnosis.positive else _("COVID-19 not suspected")
        else:
            gate = "\n".join(
                sentence(reason, self.translate, self.language)
                for reason in diagnosis.verdict.reasons
            )
            score, result, point = _("withheld"), _("No score for this image"), None
        return [
            self.model(diagnosis.model),
            result,
            score,
            self._threshold(diagnosis, point),
            self._interval(diagnosis, point, "sensitivity"),
            self._interval(diagnosis, point, "specificity"),
            gate,
            _("{area} of the image").format(area=area),
            measures_text(diagnosis.measures, _, self.language) or "–",
        ]

    def _classes(self, diagnosis: Diagnosis) -> str:
        _ = self.translate
        names = {
            "COVID": "COVID-19",
            "Normal": _("Normal"),
            "Lung_Opacity": _("Lung opacity"),
            "Viral Pneumonia": _("Viral pneumonia"),
        }
        shares = (diagnosis.class_shares or {}).items()
        said = [f"{names[label]} {percent(share, self.language)}" for label, share in shares]
        return ", ".join(said) or "–"

    def _threshold(self, diagnosis: Diagnosis, point: dict | None) -> str:
        _ = self.translate
        names = {
            "screening": _("screening"),
            "balanced": _("balanced"),
            "confirming": _("confirmation"),
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
        return _("{value} (95% CI {low} to {high}), {n} images").format(n=count, **shares)

    def meaning(self, diagnoses: Sequence[Diagnosis]) -> list[str]:
        """What the score says and what it does not; nothing where there is none."""
        _ = self.translate
        if not any(d.verdict.may_score for d in diagnoses):
            return []
        triaged = [d.triage_limits for d in diagnoses if d.triage]
        measured = next((m for d in diagnoses if (m := d.measures)), None)
        return [
            _(
                "The score ranks images by how much they resemble the COVID images of the "
                "database; it is not the probability that this patient has COVID-19. In that "
                "database COVID images come from other hospitals than the rest, so the score "
                "measures disease and source together."
            ),
            *(triage_guarantee(limits, _, self.language) for limits in triaged[:1]),
            *([measures_limits(measured, _)] if measured else []),
        ]

    def provenance(self, diagnoses: Sequence[Diagnosis], when: datetime) -> list[tuple[str, str]]:
        """Labels and values of what was read, with what, and when."""
        _ = self.translate
        first = diagnoses[0]
        film = first.radiograph
        rows = [
            (_("Date and time"), date_and_time(when, self.language)),
            (_("Version"), f"Pulmoscope {first.version}"),
            (_("Image"), self._film(first)),
            (_("sha256 of the file"), film.sha256),
            (_("sha256 of the weights, U-Net"), first.unet_sha256),
        ]
        if film.repairs:
            corrections = ", ".join(self._repair(code) for code in film.repairs)
            rows.insert(3, (_("Corrections"), corrections))
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
        text = _("{format}, {rows} × {columns} pixels, {bits} bits").format(
            format=film.format, rows=film.shape[0], columns=film.shape[1], bits=film.bits
        )
        return ", ".join(part for part in (text, film.photometric, film.projection) if part)

    def _repair(self, code: str) -> str:
        _ = self.translate
        if code == "inverted":
            return _("inverted before reading")
        if code == "mirrored":
            return _("mirrored before reading")
        return _("rotated before reading")
