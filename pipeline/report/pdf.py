"""A case on one page of A4, in the reader's language: to print, to file, to hand on.

The page names no patient and no file unless the reader typed a name.
"""

import unicodedata
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from fontTools.ttLib import TTFont
from fpdf import FPDF
from fpdf.fonts import FontFace
from PIL import Image

from pipeline.explain.overlay import draw_contour, film_rgb, overlay_heatmap, shrink
from pipeline.inference.diagnosis import Diagnosis
from pipeline.report.provenance import check_same_film
from pipeline.report.record import case_json
from pipeline.report.wording import Wording

# DejaVu Sans, which matplotlib ships: it has the letters of every European language.
FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
STYLES = {"": "DejaVuSans.ttf", "B": "DejaVuSans-Bold.ttf"}
SCRIPTS = ("LATIN", "GREEK", "CYRILLIC", "FEMININE", "MASCULINE", "MICRO")
NO_LETTER = "\u25a1"
MARGIN, FOOT = 14, 12  # mm
PICTURE_SIDE = 768  # pixels; about 300 per inch at the size they are printed in
IDENTITY_LENGTH = 120
RECORD = "record.json"
# Text sizes in points; the first with which everything fits on the page is taken.
SIZES = (9.5, 9.0, 8.5, 8.0, 7.5, 7.0, 6.5, 6.0, 5.5, 5.0)
INK, GREY, RED = (25, 25, 25), (95, 95, 95), (155, 28, 28)


def case_pdf(
    diagnoses: Sequence[Diagnosis],
    translate: Callable[[str], str],
    language: str,
    *,
    when: datetime,
    identity: str = "",
    synthetic: bool = False,
) -> bytes:
    """Print one film's answers, of one model or two, on one page.

    ``translate`` turns an English text into ``language`` ("en", "fr"); ``when``: date and time of
    the page; ``identity``: what the reader typed to tell whose film it is, at most
    `IDENTITY_LENGTH` characters; ``synthetic``: the film was drawn by a program.

    The page carries its record as an attached file, by which `python -m pipeline verify` checks it;
    what was typed is not in it.

    Raises ValueError for answers of several films and for an identity that is too long.
    """
    check_same_film(diagnoses)
    identity = one_line(identity)
    if len(identity) > IDENTITY_LENGTH:
        raise ValueError(
            f"the identity has {len(identity)} characters, at most {IDENTITY_LENGTH} have a place "
            "on the page: shorten it."
        )
    words = Wording(translate, language)
    for size in SIZES:
        page = _Page(words, size, when)
        try:
            page.head(identity, synthetic)
            page.pictures(diagnoses)
            try:
                page.table(words.table(diagnoses))
            except ValueError:  # fpdf2's: a row is higher than a page
                continue
            page.paragraphs(words.meaning(diagnoses))
            page.small_print(words.provenance(diagnoses, when))
            if page.page_no() == 1:
                record = case_json(diagnoses, when=when, synthetic=synthetic)
                page.embed_file(bytes=record, basename=RECORD, mime_type="application/json")
                return bytes(page.output())
        finally:
            page.close_fonts()
    raise ValueError(
        f"{len(diagnoses)} answers do not fit on one page: print one or two at a time."
    )


def one_line(identity: str) -> str:
    """What the reader typed as it is printed: composed letters, single spaces."""
    return " ".join(unicodedata.normalize("NFC", identity).split())


@cache
def _letters() -> frozenset[str]:
    """What the page's font can write: signs, and letters of scripts that need no shaping."""
    with TTFont(FONTS / STYLES[""]) as font:
        drawn = map(chr, font.getBestCmap())
        return frozenset(c for c in drawn if not c.isalpha() or _script(c) in SCRIPTS)


def _script(letter: str) -> str:
    return unicodedata.name(letter, "").split(" ")[0]


def writable(text: str) -> str:
    """The text, with `NO_LETTER` for each character that the page's font cannot write."""
    return "".join(c if c in _letters() else NO_LETTER for c in text)


class _Page(FPDF):
    """An A4 page whose every line comes from `Wording`."""

    def __init__(self, words: Wording, size: float, when: datetime):
        super().__init__(format="A4")
        self.words, self.size, self.line = words, size, size * 0.48
        for style, file in STYLES.items():
            self.add_font("DejaVu", style, FONTS / file)
        self.add_font("DejaVuMono", "", FONTS / "DejaVuSansMono.ttf")
        self.set_margins(MARGIN, MARGIN)
        self.set_auto_page_break(True, MARGIN + FOOT)
        self.set_lang(words.language)
        self.set_title(words.title())
        self.set_creator("Pulmoscope")
        self.set_creation_date(when)
        self.add_page()

    def close_fonts(self) -> None:
        """Close the files that fpdf2 leaves open."""
        for font in self.fonts.values():
            font.ttfont.close()

    def _write(self, text: str, size: float, style: str = "", colour=INK, **options) -> None:
        self.set_font("DejaVu", style, size)
        self.set_text_color(*colour)
        line = size * 0.48
        self.multi_cell(0, line, text, new_x="LMARGIN", new_y="NEXT", align="L", **options)

    def footer(self) -> None:
        self.set_y(-MARGIN - 4)
        self._write(self.words.warning(), 8, "B", RED)

    def head(self, identity: str, synthetic: bool) -> None:
        self._write("Pulmoscope", 16, "B")
        self._write(self.words.title(), 10, colour=GREY)
        self.ln(1.5)
        self.set_fill_color(252, 235, 235)
        self._write(self.words.warning(), 9, "B", RED, fill=True, padding=(1.5, 2))
        self.ln(1)
        if synthetic:
            self._write(self.words.synthetic(), self.size + 1, "B")
        if identity:
            self._write(self.words.identity(writable(identity)), self.size + 1)
            if writable(identity) != identity:
                self._write(self.words.not_writable(), self.size, "B", RED)
        self.ln(1.5)

    def pictures(self, diagnoses: Sequence[Diagnosis]) -> None:
        """Film, lungs and one heatmap per scored model, side by side, captions below."""
        shown = [*_film_and_lungs(diagnoses[0]), *(_heatmap(d) for d in diagnoses)]
        captions = self.words.captions(diagnoses)
        gap, top = 4, self.y
        width = (self.epw - gap * (len(shown) - 1)) / len(shown)
        rows, columns = shown[0].shape[:2]
        height = min(width * rows / columns, 8.5 * self.size)
        lowest = top + height
        for i, (picture, caption) in enumerate(zip(shown, captions, strict=True)):
            left = self.l_margin + i * (width + gap)
            if picture is not None:
                self.image(
                    Image.fromarray(picture), left, top, width, height, keep_aspect_ratio=True
                )
            self.set_xy(left, top + height + 1 if picture is not None else top)
            self.set_font("DejaVu", "", self.size - 1)
            self.set_text_color(*GREY)
            self.multi_cell(width, (self.size - 1) * 0.45, caption, align="L", new_y="NEXT")
            lowest = max(lowest, self.y)
        self.set_xy(self.l_margin, lowest + 2.5)

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """One column of labels, one per model; the first row is the heading."""
        self.set_font("DejaVu", "", self.size)
        self.set_text_color(*INK)
        self.set_draw_color(200, 200, 200)
        self.set_fill_color(255, 255, 255)
        columns = len(rows[0]) - 1
        with super().table(
            rows,
            borders_layout="HORIZONTAL_LINES",
            col_widths=(46, *[136 / columns] * columns),
            text_align="LEFT",
            line_height=self.line,
            padding=(0.7, 1),
            headings_style=FontFace(emphasis="BOLD", color=INK, fill_color=(240, 240, 240)),
        ):
            pass
        self.ln(2)

    def paragraphs(self, texts: Sequence[str]) -> None:
        for text in texts:
            self._write(text, self.size)
            self.ln(1)

    def small_print(self, rows: Sequence[tuple[str, str]]) -> None:
        """What a second reader needs to do it all again."""
        self.ln(1)
        for label, value in rows:
            self.set_text_color(*GREY)
            self.set_font("DejaVu", "", self.size - 1.5)
            self.cell(46, self.line * 0.95, label)
            self.set_font("DejaVuMono", "", self.size - 1.5)
            self.multi_cell(0, self.line * 0.95, value, new_x="LMARGIN", new_y="NEXT", align="L")


def _film_and_lungs(diagnosis: Diagnosis) -> tuple[np.ndarray, np.ndarray]:
    film = shrink(diagnosis.radiograph.pixels, PICTURE_SIDE)
    lungs = shrink(diagnosis.lung_mask(), PICTURE_SIDE)
    outlined = draw_contour(film_rgb(film), np.where(lungs > 127, 255, 0).astype(np.uint8))
    return film_rgb(film), outlined


def _heatmap(diagnosis: Diagnosis) -> np.ndarray | None:
    if not diagnosis.verdict.may_score:
        return None
    film = shrink(diagnosis.radiograph.pixels, PICTURE_SIDE)
    raw = diagnosis.heatmap(shape=film.shape)
    raw = raw * (shrink(diagnosis.lung_mask(), PICTURE_SIDE) > 127)  # nothing outside is scored
    return overlay_heatmap(film, raw, diagnosis.cam_scale[diagnosis.cam])
