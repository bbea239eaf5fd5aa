"""Compile a classifier's whole answer for ONNX Runtime, in two files beside the weights.

``<model>.front.onnx`` takes raw images of any size, float32 (batch, rows, columns, 1) in 0..255,
under the name ``film``. It gives what `pipeline.models.graph.build_graph` does before the
classifier, ``resized`` and ``seen``, see `BasePredictor.before_unet`, and ``shown``, what the
classifier is shown. ``<model>.onnx`` takes that under the same name and gives the rest of
`pipeline.inference.answer_model.AnswerModel`, the heatmap's gradient and cell map included. ONNX
Runtime computes a file as a whole: two of them let the gate look at an image without the
classifier, and a classifier be shown something else. The gate is in neither.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipeline.inference.predictor import Predictor
from pipeline.models import registry

FRONT = ("mask_probability", "mask", "masked_film", "equalised_film", "context")
OPSET = 18  # the first whose ScatterElements adds


def compile_model(name: str, front: Path, rear: Path, folder: Path | None = None) -> dict[str, str]:
    """Write a classifier's two files; what ``registry.json`` says of them.

    ``folder``: of weights and registry. Raises RuntimeError where the packages for ONNX are not
    installed, `registry.WeightsError` where the weights are not the registry's.
    """
    predictor = Predictor(name, folder)
    graph, classifier = predictor.graph, predictor.classifier.name
    trunk, head = (graph.get_layer(f"{classifier}_{part}") for part in ("trunk", "head"))
    shown = "equalise_lungs" if predictor.architecture.masked else "resize"
    before = {key: graph.output[key] for key in FRONT} | predictor.before_classifier
    before["shown"] = graph.get_layer(shown).output
    first = keras.Model(graph.input, before)

    def second(shown: tf.Tensor) -> dict[str, tf.Tensor]:
        features = trunk(shown, training=False)
        answer = head(features, training=False) | predictor.model.explain(features)
        return answer | {"features": features}

    size = predictor.entry.input_size
    write_onnx(lambda film: first(film, training=False), front, {"film": (None, None, None, 1)})
    write_onnx(second, rear, {"shown": (None, size, size, 1)})
    return {
        "front_sha256": registry.file_sha256(front),
        "sha256": registry.file_sha256(rear),
        "weights_sha256": predictor.entry.sha256,
        "unet_sha256": predictor.unet_entry.sha256,
    }


def write_onnx(
    answer: Callable[..., dict[str, tf.Tensor]],
    path: Path,
    inputs: Mapping[str, tuple[int | None, ...]],
) -> None:
    """Convert a function to a dict of outputs; ``inputs``: the shape of each argument, float32.

    Raises RuntimeError where the packages for ONNX are not installed.
    """
    try:
        import onnx
        import tf2onnx
    except ImportError as error:
        raise RuntimeError(
            "ONNX needs packages that the app does not: pip install -r requirements-dev.txt"
        ) from error
    signature = [tf.TensorSpec(shape, tf.float32, name=name) for name, shape in inputs.items()]
    converted, _ = tf2onnx.convert.from_function(
        tf.function(answer, input_signature=signature),
        input_signature=signature,
        opset=OPSET,
        custom_op_handlers={"UnsortedSegmentSum": (_segment_sum, [])},
    )
    _look_up_as_counted(converted.graph)
    _widen_depthwise(converted.graph)
    onnx.checker.check_model(converted)
    onnx.save(converted, path)


def _segment_sum(graph: Any, node: Any, name: str, _arguments: Any) -> None:
    """Count HistNorm's levels by adding in place: tf2onnx's own way compares every pixel with every
    level, four fifths of the time of a whole answer."""
    from onnx import TensorProto, helper

    values, segments, count = node.input
    kind, shapes = graph.get_dtype(node.output[0]), node.output_shapes
    whole = graph.make_node("Cast", [count], attr={"to": TensorProto.INT64}).output[0]
    one = graph.make_const(f"{name}_shape", np.array([1], np.int64)).output[0]
    length = graph.make_node("Reshape", [whole, one]).output[0]
    nought = helper.make_tensor("nought", kind, [1], [0])
    sums = graph.make_node("ConstantOfShape", [length], attr={"value": nought}).output[0]
    outputs = list(node.output)
    graph.remove_node(node.name)
    graph.make_node(
        "ScatterElements",
        [sums, segments, values],
        attr={"axis": 0, "reduction": "add"},
        outputs=outputs,
        name=name,
        dtypes=[kind],
        shapes=shapes,
    )


ELEMENTWISE = {"Add", "Cast", "Less", "Mul", "Not", "Sub", "Where"}


def _look_up_as_counted(graph: Any) -> None:
    """Let HistNorm look up its table at the very places where it has counted.

    Keras allows for places below 0, which do not occur here, and ONNX Runtime is faster by the
    operation for a table of one axis.
    """
    made = {name: node for node in graph.node for name in node.output}
    counted = {node.input[1] for node in graph.node if node.op_type == "ScatterElements"}

    def places(name: str) -> str | None:
        if name in counted:
            return name
        node = made.get(name)
        if node is None or node.op_type not in ELEMENTWISE:
            return None
        return next(filter(None, map(places, node.input)), None)

    for node in graph.node:
        if node.op_type == "Gather" and (found := places(node.input[1])):
            node.op_type, node.input[1] = "GatherElements", found
    needed = {output.name for output in graph.output}
    for node in reversed(list(graph.node)):
        if needed.isdisjoint(node.output):
            graph.node.remove(node)
        else:
            needed.update(node.input)


def _widen_depthwise(graph: Any) -> None:
    """Give depthwise convolutions as many inputs as outputs, which is what kernels are made for.

    A separable convolution that makes m channels of one sees every channel m times instead, those
    of the first multiplier before those of the second; the pointwise weights behind it take that
    order. ONNX Runtime needs half the time and less for the same sums.
    """
    from onnx import helper, numpy_helper

    weights = {one.name: one for one in graph.initializer}
    uses = Counter(name for node in graph.node for name in node.input)
    behind = {node.input[0]: node for node in graph.node if node.op_type == "Conv"}

    def reorder(name: str, order: np.ndarray, axis: int) -> None:
        values = numpy_helper.to_array(weights[name]).take(order, axis)
        weights[name].CopyFrom(numpy_helper.from_array(values, name))

    for node in [node for node in graph.node if node.op_type == "Conv"]:
        pointwise = behind.get(node.output[0])
        if pointwise is None or len(node.input) != 2:
            continue
        own = (node.output[0], node.input[1], pointwise.input[1])
        if any(uses[name] != 1 for name in own) or not weights.keys() >= set(own[1:]):
            continue  # something else takes the channels as they are
        group = next(a for a in node.attribute if a.name == "group")
        channels, made = group.i, weights[node.input[1]].dims[0]
        if not 1 < channels < made:
            continue
        order = np.arange(made).reshape(channels, -1).T.ravel()
        reorder(node.input[1], order, axis=0)
        reorder(pointwise.input[1], order, axis=1)
        widened = f"{node.name}_widened"
        inputs = [node.input[0]] * (made // channels)
        concat = helper.make_node("Concat", inputs, [widened], widened, axis=1)
        graph.node.insert(list(graph.node).index(node), concat)
        node.input[0], group.i = widened, made
