"""Two graph convolutions."""

import keras
import numpy as np
from keras import layers, ops


class GraphConvolution(layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[0][-1], self.units), name="kernel")

    def call(self, inputs):
        nodes, neighbours = inputs
        return ops.matmul(neighbours, ops.matmul(nodes, self.kernel))


def build():
    nodes, neighbours = keras.Input((None, 5), name="nodes"), keras.Input((None, None), name="neighbours")
    x = layers.Activation("relu")(GraphConvolution(6, name="conv_1")([nodes, neighbours]))
    x = layers.Dropout(0.0)(x)
    x = layers.Activation("softmax")(GraphConvolution(3, name="conv_2")([x, neighbours]))
    model = keras.Model([nodes, neighbours], x)
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    return model


def rows(rng):
    matrix = (rng.uniform(size=(2, 6, 6)) < 0.4) | np.eye(6, dtype=bool)
    matrix = (matrix | matrix.transpose(0, 2, 1)).astype(float)
    degree = matrix.sum(-1) ** -0.5
    x = {"nodes": rng.normal(size=(2, 6, 5)), "neighbours": degree[:, :, None] * matrix * degree[:, None]}
    return x, {"topic": rng.integers(0, 3, (2, 6))}
