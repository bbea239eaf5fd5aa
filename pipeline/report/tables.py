"""A work list as CSV or XLSX, made in memory."""

import csv
import io
import re
from collections.abc import Callable, Iterable
from unicodedata import category

import xlsxwriter

from pipeline.serving.worklist import Row

COLUMNS = (
    "file",
    "sha256",
    "status",
    "reasons",
    "sentences",
    "covid_probability",
    "threshold",
    "positive",
    "triage",
    "lung_area_fraction",
    "seconds",
    "model",
    "weights_sha256",
    "unet_sha256",
    "version",
)
# Where a spreadsheet may see a cell begin with a formula (OWASP, CSV injection): at the start, and
# behind every sign that some country's spreadsheet divides cells at; in ASCII and in full width.
FORMULA = re.compile(r"""(^|[,;|\t\r\n])(?=[\s"]*[=+\-@＝＋－＠])|^(?=[\t\r\n])""")
UNSEEN = ("Cc", "Cf", "Cs", "Cn", "Zl", "Zp")
LONGEST = 1_000  # characters of a cell; Excel refuses more than 32,767


def write_csv(rows: Iterable[Row], translate: Callable[[str], str] = str) -> bytes:
    """Comma-separated, UTF-8 with a byte order mark, by which Excel knows that it is UTF-8.

    Columns are `COLUMNS`, named and written as in the command line's JSON; ``sentences`` are the
    reasons in the language of ``translate``. An empty cell is a value that there is not.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for row in rows:
        cells = _cells(row, translate)
        writer.writerow(str(c).lower() if isinstance(c, bool) else c for c in cells)
    return text.getvalue().encode("utf-8-sig")


def write_xlsx(rows: Iterable[Row], translate: Callable[[str], str] = str) -> bytes:
    """The same table as an Excel workbook, with numbers as numbers."""
    target = io.BytesIO()
    # In memory: a file's name may be a patient's, and temporary files lie on the disk.
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(target, options) as book:
        sheet = book.add_worksheet("Not for diagnostic use")
        sheet.write_row(0, 0, COLUMNS, book.add_format({"bold": True}))
        sheet.freeze_panes(1, 1)
        last = 0
        for last, row in enumerate(rows, 1):
            sheet.write_row(last, 0, _cells(row, translate))
        sheet.autofilter(0, 0, last, len(COLUMNS) - 1)
        sheet.set_column(0, 0, 32)
        sheet.set_column(1, len(COLUMNS) - 1, 16)
    return target.getvalue()


def _cells(row: Row, translate: Callable[[str], str]) -> list:
    record = row.record | {
        "file": row.source.name,
        "reasons": " ".join(reason.code for reason in row.reasons),
        "sentences": " ".join(reason.sentence(translate) for reason in row.reasons),
    }
    return [safe(record.get(column)) for column in COLUMNS]


def safe(value):
    """The value as a cell that no spreadsheet runs, and that XML can hold."""
    if not isinstance(value, str):
        return value
    return printable(FORMULA.sub(r"\1'", value[:LONGEST]))


def printable(text: str) -> str:
    """At most `LONGEST` characters, with a mark for those that control, hide or turn text."""
    return "".join("\ufffd" if category(c) in UNSEEN else c for c in text[:LONGEST])
