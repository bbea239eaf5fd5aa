"""What computes: engine, and processor or graphics card."""

import logging
from functools import cache
from pathlib import Path

from pipeline.inference.engine import sees_graphics_card
from pipeline.serving.settings import read_settings

log = logging.getLogger(__name__)


@cache
def prepare_device() -> str:
    """Let a graphics card give memory as it is needed; the name of what will compute.

    To be called before the first model is made. Where a graphics card was asked for and none is
    found, the log says so and the processor computes.
    """
    settings = read_settings()
    if settings.engine != "onnx" and sees_graphics_card():
        return _prepare_card()
    if settings.gpu:
        log.warning("no graphics card is to be had: the processor computes, more slowly")
    return processor()


def _prepare_card() -> str:
    import tensorflow as tf

    cards = tf.config.list_physical_devices("GPU")
    for card in cards:
        try:
            tf.config.experimental.set_memory_growth(card, True)
        except RuntimeError as error:  # something has used it already
            log.warning("memory growth of %s: %s", card.name, error)
    details = tf.config.experimental.get_device_details(cards[0])
    return details.get("device_name", cards[0].name)


def processor() -> str:
    """The processor's name as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "CPU"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "CPU"
