"""FT-Transformer on columns of numbers."""

import keras
from keras import layers, ops

RENAMED = [("^tokens/(.*)$", r"\1/value")]


class FeatureTokenizer(layers.Layer):
    def build(self, shape):
        self.weight = self.add_weight(shape=(shape[-1], 6), name="weight")
        self.bias = self.add_weight(shape=(shape[-1], 6), initializer="zeros", name="bias")
        self.cls = self.add_weight(shape=(1, 6), name="cls")

    def call(self, x):
        vectors = ops.expand_dims(x, -1) * self.weight + self.bias
        cls = ops.broadcast_to(self.cls, (ops.shape(x)[0], 1, 6))
        return ops.concatenate([cls, vectors], axis=1)


def build():
    features = keras.Input((4,), name="features")
    x = FeatureTokenizer(name="tokens")(features)
    x = x + layers.MultiHeadAttention(num_heads=2, key_dim=3, name="attend")(x, x)
    y = layers.LayerNormalization(name="norm_1")(x)
    x = x + layers.Dense(6, name="narrow")(layers.Dense(8, activation="gelu", name="wide")(y))
    x = layers.ReLU()(layers.LayerNormalization(name="norm_2")(x[:, 0]))
    model = keras.Model(features, layers.Dense(1, name="value")(x))
    model.compile(keras.optimizers.AdamW(1e-4, weight_decay=1e-5), "mse")
    return model


def rows(rng):
    return {"features": rng.normal(size=(5, 4))}, {"value": rng.normal(size=(5, 1))}
