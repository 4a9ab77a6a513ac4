"""Graph attention with one head, over dense matrices of neighbours."""

import keras
import numpy as np
from keras import layers, ops

RENAMED = [(f"/{role}$", f"/{role}/kernel") for role in ("states", "from", "to")]


class GraphAttention(layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[0][-1], self.units), name="states")
        self.source = self.add_weight(shape=(self.units, 1), name="from")
        self.target = self.add_weight(shape=(self.units, 1), name="to")

    def call(self, inputs):
        nodes, neighbours = inputs
        states = ops.matmul(nodes, self.kernel)
        scores = ops.matmul(states, self.source) + ops.transpose(ops.matmul(states, self.target), (0, 2, 1))
        scores = ops.leaky_relu(scores, negative_slope=0.2)
        scores = ops.where(neighbours > 0, scores, -1e9)
        return ops.matmul(ops.softmax(scores, axis=-1), states)


def build():
    nodes, neighbours = keras.Input((None, 5), name="nodes"), keras.Input((None, None), name="neighbours")
    x = ops.elu(GraphAttention(6, name="first")([nodes, neighbours]))
    x = layers.Activation("softmax")(GraphAttention(3, name="second")([x, neighbours]))
    model = keras.Model([nodes, neighbours], x)
    model.compile(keras.optimizers.Adam(0.005), "sparse_categorical_crossentropy")
    return model


def rows(rng):
    matrix = (rng.uniform(size=(2, 6, 6)) < 0.4) | np.eye(6, dtype=bool)
    return {"nodes": rng.normal(size=(2, 6, 5)), "neighbours": matrix.astype(float)}, {
        "topic": rng.integers(0, 3, (2, 6))
    }
