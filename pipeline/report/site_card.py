"""A site card for people: the rows of its table, and one page of A4."""

from collections.abc import Callable
from pathlib import Path

from fpdf import FPDF, FontFace

from pipeline.evaluation.estimates import Estimate
from pipeline.report.pdf import FONTS, GREY, INK, MARGIN, RED, STYLES
from pipeline.text.formatting import estimate, number


def site_rows(record: dict, translate: Callable[[str], str], language: str) -> list[tuple]:
    """Labels and values of what was measured, in the reader's language."""
    _ = translate

    def share(record: dict) -> str:
        return estimate(Estimate(**record), language)

    def pair(rates: dict) -> str:
        return f"{share(rates['sensitivity'])}; {share(rates['specificity'])}"

    triage = record["triage"]
    limits = [
        "–" if triage[side] is None else number(triage[side], language, 3)
        for side in ("low", "high")
    ]
    own = number(record["at_own_threshold"]["threshold"], language, 3)
    return [
        (_("Hospital"), record["site"]),
        (_("Model"), record["model"]),
        (_("Images (positive)"), f"{record['n']} ({record['positive']})"),
        (_("Images without a score"), share(record["withheld"])),
        ("AUC", estimate(Estimate(**record["auc"]), language, 3, share=False)),
        (
            _("Sensitivity; specificity at the app's threshold, {threshold}").format(threshold=own),
            pair(record["at_own_threshold"]),
        ),
        (_("Threshold for this hospital"), number(record["threshold"], language, 3)),
        (
            _("Sensitivity; specificity expected with it (10-fold cross-validation)"),
            pair(record["cross_validated"]),
        ),
        (_("Unlikely below; likely from"), "; ".join(limits)),
        (_("Uncertain, of these images"), share(record["triage_here"]["uncertain"])),
    ]


def site_pdf(record: dict, translate: Callable[[str], str], language: str) -> bytes:
    """The card as one page of A4, with its hashes."""
    _ = translate
    page = FPDF(format="A4")
    for style, file in STYLES.items():
        page.add_font("DejaVu", style, Path(FONTS / file))
    page.add_font("DejaVuMono", "", Path(FONTS / "DejaVuSansMono.ttf"))
    try:
        page.set_margins(MARGIN, MARGIN)
        page.set_lang(language)
        page.set_title(_("Pulmoscope site card"))
        page.add_page()
        page.set_text_color(*INK)
        page.set_font("DejaVu", "B", 16)
        page.cell(0, 10, _("Pulmoscope site card"), new_x="LMARGIN", new_y="NEXT")
        page.set_font("DejaVu", "B", 9)
        page.set_text_color(*RED)
        text = _("Not for diagnostic use. A research demonstration, measured on local images.")
        page.multi_cell(0, 5, text, new_x="LMARGIN", new_y="NEXT")
        page.ln(3)
        page.set_text_color(*INK)
        page.set_font("DejaVu", "", 9)
        plain = FontFace(emphasis=None)
        with page.table(col_widths=(80, 102), headings_style=plain, line_height=6) as table:
            for row in site_rows(record, translate, language):
                table.row(row)
        page.ln(3)
        text = _("95% CI. Only as good as the local labels, and only for images like these.")
        page.multi_cell(0, 5, text, new_x="LMARGIN", new_y="NEXT")
        page.ln(3)
        page.set_text_color(*GREY)
        page.set_font("DejaVuMono", "", 7.5)
        for label, key in (
            (_("sha256 of this card"), "sha256"),
            (_("sha256 of the weights"), "weights_sha256"),
            (_("sha256 over the images"), "images_sha256"),
        ):
            text = f"{label}: {record[key]}"
            page.multi_cell(0, 4, text, new_x="LMARGIN", new_y="NEXT", align="L")
        text = f"{record['created']}, Pulmoscope {record['version']}"
        page.multi_cell(0, 4, text, new_x="LMARGIN", new_y="NEXT")
        return bytes(page.output())
    finally:
        for font in page.fonts.values():
            font.ttfont.close()
