"""Look into the end-to-end graph: its layers, what joins them, and what each makes of a film."""

from dataclasses import dataclass

import keras
import numpy as np

from pipeline.inference.predictor import Predictor


@dataclass(frozen=True)
class Node:
    """One layer of the graph.

    ``kind``: the layer's class; ``part``: "graph", "unet" or the classifier's name; ``shape``:
    (rows, columns, channels) or (units,) of its output; ``inputs``: names of the layers that feed
    it; ``depth``: layers on the longest way from the film.
    """

    name: str
    kind: str
    part: str
    shape: tuple[int, ...]
    parameters: int
    inputs: tuple[str, ...]
    depth: int


def nodes(predictor: Predictor) -> list[Node]:
    """Every layer of a predictor's graph, the U-Net and the classifier taken apart, by depth."""
    graph, size = predictor.graph, predictor.entry.input_size
    found: dict[str, Node] = {}
    last = {}  # a model's name in the graph -> its last layer
    for layer in graph.layers:
        fed_by = tuple(last.get(name, name) for name in _parents(layer))
        if not isinstance(layer, keras.Model):
            shape = (size, size, 1) if layer.name != "film" else (None, None, 1)
            _add(found, layer, "graph", shape, fed_by)
        elif layer.name == "unet":
            last["unet"] = _take_apart(found, layer, "unet", fed_by, size)
        elif layer.name.endswith("_trunk"):
            name = predictor.entry.name
            last[layer.name] = _take_apart(found, predictor.classifier, name, fed_by, size)
    return sorted(found.values(), key=lambda node: node.depth)


def output_of(predictor: Predictor, film: np.ndarray, name: str) -> np.ndarray:
    """What one layer makes of a film, float32 (rows, columns) in 0..255.

    Returns float32 (rows, columns, channels) or (units,). Raises ValueError for an unknown layer.
    """
    graph, x = predictor.graph, film[None, ..., None].astype(np.float32)
    for layer in graph.layers:
        if layer.name == name and not isinstance(layer, keras.Model):
            return _run(graph.input, layer.output, x)[0]
    for model, entrance in _models(predictor):
        if name in (layer.name for layer in model.layers):
            entered = _run(graph.input, graph.get_layer(entrance).output, x)
            return _run(model.input, model.get_layer(name).output, entered)[0]
    raise ValueError(f"the graph has no layer {name!r}: see nodes().")


def _models(predictor: Predictor) -> list[tuple[keras.Model, str]]:
    """The U-Net and the classifier, each with the layer that feeds it."""
    graph = predictor.graph
    trunk = next(layer for layer in graph.layers if layer.name.endswith("_trunk"))
    unet = graph.get_layer("unet")
    return [(unet, *_parents(unet)), (predictor.classifier, *_parents(trunk))]


def _run(source, target, x) -> np.ndarray:
    return np.asarray(keras.Model(source, target)(x, training=False))


def _parents(layer) -> list[str]:
    return [node.operation.name for node in layer._inbound_nodes[0].parent_nodes]


def _take_apart(found: dict, model: keras.Model, part: str, fed_by: tuple, size: int) -> str:
    """Add a model's layers; returns the name of the last."""
    first, *layers = model.layers
    probe = keras.Model(model.input, [layer.output for layer in layers])
    shapes = probe.compute_output_shape((1, size, size, 1))
    for layer, shape in zip(layers, shapes, strict=True):
        inputs = _parents(layer)
        _add(found, layer, part, shape[1:], fed_by if inputs == [first.name] else tuple(inputs))
    return layers[-1].name


def _add(found: dict, layer, part: str, shape: tuple, inputs: tuple[str, ...]) -> None:
    depth = 1 + max((found[name].depth for name in inputs), default=-1)
    kind, parameters = type(layer).__name__, layer.count_params()
    found[layer.name] = Node(layer.name, kind, part, tuple(shape), parameters, inputs, depth)
