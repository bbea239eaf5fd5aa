"""What models and classes are called, and how a name goes with its value, as readers write it."""

from app.session.language import gettext as _


def model_names() -> dict[str, str]:
    """Every model's name."""
    return {
        "light": _("Light CNN"),
        "xception": "Xception",
        "cnn1": _("CNN-1 of the report"),
        "cnn2": _("CNN-2 of the report, unmasked"),
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


def labelled(name: str, value: str) -> str:
    """A name and its value, with the language's colon."""
    return _("{name}: {value}").format(name=name, value=value)
