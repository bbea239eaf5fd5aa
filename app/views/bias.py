"""A film, the painted film and what models say of it, as one picture. No streamlit."""

import io

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pipeline.explain.overlay import film_rgb, overlay_heatmap


def slide(answers: dict, titles: dict[str, str], films: tuple[str, str], note: str, form: str):
    """Bytes of the picture; ``answers``: model to (answer, answer to the painted film).

    ``titles``: what stands over each model's heatmap; ``films``: over the two films; ``form``:
    "svg" or "png".
    """
    figure = Figure(figsize=(4 * (2 + len(answers)), 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 2 + len(answers))
    pair = next(iter(answers.values()))
    for place, diagnosis, title in zip(axes, pair, films, strict=False):
        place.imshow(film_rgb(diagnosis.radiograph.pixels))
        place.set_title(title)
    for place, (name, (_, painted)) in zip(axes[2:], answers.items(), strict=True):
        picture = film_rgb(painted.radiograph.pixels)
        if painted.verdict.may_score:
            scale = painted.cam_scale[painted.cam]
            picture = overlay_heatmap(painted.radiograph.pixels, painted.heatmap(), scale)
        place.imshow(picture)
        place.set_title(titles[name], fontsize=10)
    for place in axes:
        place.axis("off")
    figure.supxlabel(note, fontsize=9)
    target = io.BytesIO()
    figure.savefig(target, format=form, dpi=120)
    return target.getvalue()
