"""What models, classes and heatmap methods are called, and how a name goes with its value."""

from app.session.language import gettext as _
from pipeline.explain.gradcam import CELLWISE, METHOD_NAMES


def model_names() -> dict[str, str]:
    """Every model's name."""
    return {
        "light": _("Light CNN"),
        "xception": "Xception",
        "cnn1": _("CNN-1 of the original report"),
        "cnn2": _("CNN-2 of the original report, unmasked"),
        "unet": "U-Net",
    }


def class_names() -> dict[str, str]:
    """Every class's name."""
    return {
        "COVID": "COVID-19",
        "Normal": _("Normal"),
        "Lung_Opacity": _("Lung opacity"),
        "Viral Pneumonia": _("Viral pneumonia"),
    }


def method_names() -> dict[str, str]:
    """Every heatmap method's name."""
    return METHOD_NAMES | {CELLWISE: _("Cell-wise")}


def change_names() -> dict[str, str]:
    """Every change of `pipeline.inference.copies` in words."""
    return {
        "none": _("unchanged image"),
        "mirrored": _("mirrored"),
        "blurred": _("slightly blurred"),
        "sharpened": _("sharpened"),
        "shrunk": _("reduced to three quarters and enlarged again"),
        "compressed": _("compressed (JPEG, quality 60)"),
        "turned": _("rotated by 3 degrees"),
        "brightened": _("brightened"),
        "mask_grown": _("lung mask 3 pixels wider"),
        "mask_shrunk": _("lung mask 3 pixels narrower"),
    }


def labelled(name: str, value: str) -> str:
    """A name and its value, with the language's colon."""
    return _("{name}: {value}").format(name=name, value=value)
