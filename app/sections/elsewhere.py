"""The parts of the performance page on other hospitals, adults, and the three answers."""

import streamlit as st

from app.session.language import current, ngettext, number, percent
from app.session.language import gettext as _
from app.views.names import class_names, labelled
from pipeline.evaluation.estimates import Estimate
from pipeline.text import formatting


def show_elsewhere(scores: dict) -> None:
    """How the model does where the hospital does not tell the class."""
    found = {k: v for k, v in (scores.get("elsewhere") or {}).items() if v}
    if not found:
        return
    st.subheader(_("Inside the database and elsewhere"), anchor=False)
    st.markdown(
        _(
            "In the database the hospital alone tells COVID from the rest. SIIM-COVID19 breaks "
            "that link: its labels, given by radiologists, all come from the same hospitals. A "
            "model that reads the disease does well on both."
        )
    )
    rows = [_row(_("Database"), scores)]
    if "adults" in found:
        rows.append(_row(_("Database, adults only"), found["adults"]))
    if siim := found.get("siim"):
        name = ngettext(
            "SIIM-COVID19, typical against negative ({patients} patient)",
            "SIIM-COVID19, typical against negative ({patients} patients)",
            siim["patients"],
        )
        rows.append(_row(name.format(patients=number(siim["patients"], 0)), siim))
    st.table(rows)
    st.table(
        [
            {
                _("Images"): name,
                _("Classified as COVID"): share(called),
                _("Number"): number(called["n"], 0),
            }
            for name, called in _called(found)
        ]
    )
    st.caption(
        _(
            "95% CI; those of SIIM-COVID19 count patients, not images. “Typical” should be "
            "classified as COVID, “negative”, “atypical” and tuberculosis should not; "
            "“indeterminate” may be either. A radiologist saw no pneumonia on the contradictory "
            "images of the database's COVID class."
        )
    )


def _row(name: str, scores: dict) -> dict:
    return {
        _("Test images"): name,
        "AUC": auc(scores["auc"]),
        _("Sensitivity (recall)"): share(scores["sensitivity"]),
        _("Specificity"): share(scores["specificity"]),
        _("Number"): number(scores["n"], 0),
    }


def _called(found: dict):
    """Names and shares called COVID of what the other sets hold."""
    findings = _findings()
    for key, title in (("siim", "SIIM-COVID19"), ("shenzhen", "Shenzhen")):
        for finding, called in found.get(key, {}).get("called_covid", {}).items():
            yield labelled(title, findings.get(finding, finding)), called
    if "contradictory" in found:
        yield _("Database: COVID class, contradictory"), found["contradictory"]["called_covid"]


def _findings() -> dict[str, str]:
    return {
        "typical": _("typical"),
        "negative": _("negative"),
        "indeterminate": _("indeterminate"),
        "atypical": _("atypical"),
        "tuberculosis": _("tuberculosis"),
        "unknown": _("unknown"),
    }


def show_triage(scores: dict) -> None:
    """The three answers by set and source, and where their guarantee does not hold."""
    judged = scores.get("triage")
    if not judged:
        return
    st.subheader(_("Three answers: likely, unlikely, uncertain"), anchor=False)
    rate = judged["limits"]["rate"]
    st.table(
        [
            {
                _("Test images"): _group(name),
                _("Likely"): percent(said["likely"]["value"]),
                _("Unlikely"): percent(said["unlikely"]["value"]),
                _("Uncertain"): percent(said["uncertain"]["value"]),
                _("Wrong among likely and unlikely"): share(said["wrong"]),
                _("At most {rate}?").format(rate=percent(rate)): _kept(said["kept"]),
            }
            for name, said in judged["groups"].items()
        ]
    )
    st.caption(
        _(
            "The limits were set on validation images of the database and of SIIM-COVID19, "
            "weighted alike, so that at most {rate} of these answers are wrong in that mixture. "
            "For a single source this is not guaranteed: “no” marks those where it does not hold "
            "(the 95% CI lies above {rate})."
        ).format(rate=percent(rate))
    )


def _group(name: str) -> str:
    titles = {"database": _("Database"), "siim": "SIIM-COVID19", "shenzhen": "Shenzhen"}
    source, *rest = name.split("/")
    words = class_names() | _findings()
    title = titles.get(source, source)
    return labelled(title, words.get(rest[0], rest[0])) if rest else title


def _kept(kept: bool | None) -> str:
    return {True: _("yes"), False: _("no"), None: "–"}[kept]


def auc(scored: dict) -> str:
    """An area under the curve with its interval, as a record of measurements holds it."""
    return formatting.estimate(Estimate(**scored), current(), 3, share=False)


def share(scored: dict) -> str:
    """A share with its interval, as a record of measurements holds it."""
    return formatting.estimate(Estimate(**scored), current())
