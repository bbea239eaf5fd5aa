"""What may stand in the log: our own sentences, and of everything else its kind and its place.

Libraries write into their messages what they were given (fpdf2 every letter that its font lacks,
pydicom values of a header), and the text of an exception may hold the same. So every record is
made anew before any handler sees it, whoever made it and whichever handler comes later.
"""

import logging
import sys
import threading
import traceback
from pathlib import Path

OURS = ("pipeline", "app", "pulmoscope")
ROOT = Path(__file__).resolve().parents[2]

log = logging.getLogger(__name__)


def keep_identity_out() -> None:
    """From now on nothing of what this process is told reaches a log; to be called once, first.

    Records of other loggers keep their level, their place in the code and the kind of their error.
    Ours keep their text, in which an error stands by its kind. Warnings and errors that nobody
    caught are logged in the same way.
    """
    logging.setLogRecordFactory(_record)
    logging.captureWarnings(True)
    # Who has set a hook of his own keeps it.
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = lambda kind, error, place: _uncaught(error)
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = lambda about: _uncaught(about.exc_value)
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = lambda about: _uncaught(about.exc_value)


def kind_and_place(error: BaseException | None) -> str:
    """An error without its text: "ValueError at pipeline/io/radiograph.py:120"."""
    if error is None:
        return "an error"
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(ROOT)]
    if not frames:
        return type(error).__name__
    frame = (ours or frames)[-1]
    return f"{type(error).__name__} at {_short(frame.filename)}:{frame.lineno}"


def _record(name, level, path, line, message, arguments, exc_info, *more, **named):
    """The record that `logging` is to hand to its handlers instead of the one that was asked for.

    Signature as `logging.LogRecord`.
    """
    error = exc_info[1] if isinstance(exc_info, tuple) else None
    if name.partition(".")[0] in OURS:
        given = arguments if isinstance(arguments, tuple) else ()
        arguments = tuple(kind_and_place(a) if isinstance(a, BaseException) else a for a in given)
        text = str(message) % arguments if arguments else str(message)
    else:
        text = f"a message of {_short(path)}:{line}, whose text is not logged"
    if error is not None:
        text += f" ({kind_and_place(error)})"
    return logging.LogRecord(name, level, path, line, text, (), None)


def _uncaught(error: BaseException | None) -> None:
    if not isinstance(error, KeyboardInterrupt):
        log.error("nobody caught %s", kind_and_place(error))


def _short(path: str) -> str:
    """A file of ours from the repository's root on, another's from its package on."""
    parts = Path(path).parts
    if "site-packages" in parts:
        return "/".join(parts[parts.index("site-packages") + 1 :])
    return str(Path(path).relative_to(ROOT)) if Path(path).is_relative_to(ROOT) else parts[-1]
