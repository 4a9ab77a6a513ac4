"""ViT with a class token and learnt positions, written with `add_weight`."""

import keras
import numpy as np
from keras import layers, ops

RENAMED = [("^tokens/cls$", "cls/value"), ("^tokens/place$", "place/value")]


class ClassTokenAndPosition(layers.Layer):
    def build(self, shape):
        _, count, dim = shape
        self.cls = self.add_weight(shape=(1, dim), initializer="zeros", name="cls")
        normal = keras.initializers.TruncatedNormal(stddev=0.02)
        self.place = self.add_weight(shape=(count + 1, dim), initializer=normal, name="place")

    def call(self, x):
        cls = ops.broadcast_to(self.cls, (ops.shape(x)[0], 1, x.shape[-1]))
        return ops.concatenate([cls, x], axis=1) + self.place


def build():
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(8, 4, strides=4, name="patches")(image)
    x = layers.Reshape((4, 8))(x)
    x = ClassTokenAndPosition(name="tokens")(x)
    y = layers.LayerNormalization(epsilon=1e-6, name="norm_1")(x)
    x = x + layers.MultiHeadAttention(num_heads=2, key_dim=4, name="attend")(y, y)
    y = layers.LayerNormalization(epsilon=1e-6, name="norm_2")(x)
    x = x + layers.Dense(8, name="narrow")(layers.Dense(16, activation="gelu", name="wide")(y))
    x = layers.LayerNormalization(epsilon=1e-6, name="norm")(x)
    model = keras.Model(image, layers.Dense(5, activation="softmax", name="kind")(x[:, 0]))
    model.compile(
        keras.optimizers.AdamW(0.001, weight_decay=0.05), keras.losses.CategoricalCrossentropy(label_smoothing=0.1)
    )
    return model


def rows(rng):
    return {"image": rng.normal(size=(4, 8, 8, 3))}, {"kind": np.eye(5)[rng.integers(0, 5, 4)]}
