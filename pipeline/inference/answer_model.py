"""One pass that gives all of an `Answer`: the end-to-end graph and what explains its score."""

import keras

from pipeline.explain.head_gradient import evidence_gradient, evidence_of_cells


class AnswerModel(keras.Model):
    """The outputs of `pipeline.models.graph.build_graph`, ``gradient`` and ``cells``.

    Takes what the graph takes. ``gradient``: that of the evidence on ``features``, of their shape;
    ``cells``: (batch, rows, columns), the raw map of the method "cellwise", only of a classifier
    whose head pools globally (``pooled``). Nothing but ordinary operations, so that it can be
    compiled for other engines.
    """

    def __init__(
        self,
        graph: keras.Model,
        classifier: keras.Model,
        last_features: str,
        covid: int,
        pooled: bool,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.graph = graph
        self.covid, self.pooled = covid, pooled
        layers = classifier.layers
        self.head = layers[layers.index(classifier.get_layer(last_features)) + 1 :]

    def call(self, film):
        outputs = self.graph(film, training=False)
        return outputs | self.explain(outputs["features"])

    def explain(self, features):
        """``gradient`` and ``cells`` of a batch of feature maps."""
        outputs = {"gradient": evidence_gradient(self.head, features, self.covid)}
        if self.pooled:
            outputs["cells"] = evidence_of_cells(self.head, features, self.covid)
        return outputs
