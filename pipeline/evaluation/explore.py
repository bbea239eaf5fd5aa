"""``python -m pipeline explore``: what is in the database, before any model sees it."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pipeline.training.database import Film, load_films, load_masks, read_database
from pipeline.training.split import PARTS, group_near_duplicates, split_groups

SIZE = 128


def explore(data: Path) -> dict:
    """Counts, sources, grey levels before and after equalisation, lung areas, near-duplicates."""
    films = read_database(data)
    pixels = load_films(films, SIZE)
    groups = group_near_duplicates(pixels)
    parts = split_groups(groups, [film.stratum for film in films])
    sizes = np.bincount(groups)
    return {
        "films": len(films),
        "sets": {name: _describe(films, pixels, name) for name in _strata(films)},
        "near_duplicates": {
            "groups_of_several": int((sizes > 1).sum()),
            "films_in_them": int(sizes[sizes > 1].sum()),
            "largest": int(sizes.max()),
        },
        "split": {name: int((parts == i).sum()) for i, name in enumerate(PARTS)},
    }


def _strata(films: Sequence[Film]) -> list[str]:
    return list(dict.fromkeys(film.stratum for film in films))


def _describe(films: Sequence[Film], pixels: np.ndarray, stratum: str) -> dict:
    chosen = [i for i, film in enumerate(films) if film.stratum == stratum]
    own = pixels[chosen, ..., 0]
    masked = [films[i] for i in chosen if films[i].mask]
    areas = (load_masks(masked, SIZE) > 0).mean((1, 2, 3)) if masked else []
    return {
        "films": len(chosen),
        "with_lung_mask": len(masked),
        "sources": dict(Counter(films[i].source for i in chosen).most_common()),
        "median_level": _quartiles([np.median(film) for film in own]),
        "median_level_equalised": _quartiles([np.median(cv2.equalizeHist(f)) for f in own]),
        "lung_area": _quartiles(areas),
    }


def _quartiles(values: Sequence[float]) -> list[float] | None:
    """25th, 50th and 75th percentile."""
    return (
        [round(float(q), 4) for q in np.percentile(values, (25, 50, 75))] if len(values) else None
    )


def draw(result: dict, path: Path) -> None:
    """Draw counts by source, and grey levels by set, as a picture (no film is shown)."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    counts, levels = figure.subplots(1, 2)
    names = list(result["sets"])
    left = np.zeros(len(names))
    for source in dict.fromkeys(s for d in result["sets"].values() for s in d["sources"]):
        width = np.array([result["sets"][n]["sources"].get(source, 0) for n in names])
        counts.barh(names, width, left=left, label=source)
        left += width
    counts.set_title("Films by set and source")
    counts.legend(fontsize="x-small")
    for offset, key, label in (
        (-0.15, "median_level", "as they come"),
        (0.15, "median_level_equalised", "equalised"),
    ):
        low, middle, high = np.array([result["sets"][n][key] for n in names]).T
        places = np.arange(len(names)) + offset
        levels.errorbar(middle, places, xerr=[middle - low, high - middle], fmt="o", label=label)
    levels.set_yticks(range(len(names)), names)
    levels.set_title("Median grey level of a film (quartiles)")
    levels.legend(fontsize="x-small")
    figure.savefig(path, dpi=150)
