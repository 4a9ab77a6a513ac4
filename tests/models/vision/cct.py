"""Compact convolutional transformer, without stochastic depth."""

import keras
import numpy as np
from keras import layers, ops

RENAMED = [("placed/embedding/", "place/"), ("pool/importance/", "importance/")]


class PositionEmbedding(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.embedding = layers.Embedding(9, 8, name="embedding")

    def call(self, x):
        return x + self.embedding(ops.arange(0, 9))


class SequencePooling(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.attention = layers.Dense(1, name="importance")

    def call(self, x):
        weights = ops.transpose(ops.softmax(self.attention(x), axis=1), (0, 2, 1))
        return ops.squeeze(ops.matmul(weights, x), -2)


def build():
    image = keras.Input((12, 12, 3), name="image")
    x = image
    for k, filters in ((1, 6), (2, 8)):
        x = layers.Conv2D(
            filters,
            3,
            padding="valid",
            use_bias=False,
            activation="relu",
            kernel_initializer="he_normal",
            name=f"conv_{k}",
        )(x)
        x = layers.ZeroPadding2D(1)(x)
        x = layers.MaxPooling2D(3, 2, "same")(x)
    x = PositionEmbedding(name="placed")(layers.Reshape((9, 8))(x))
    y = layers.LayerNormalization(epsilon=1e-5, name="norm_1")(x)
    x = layers.Add()([layers.MultiHeadAttention(num_heads=2, key_dim=8, name="attend")(y, y), x])
    y = layers.LayerNormalization(epsilon=1e-5, name="norm_2")(x)
    y = layers.Dense(8, activation="gelu", name="wide")(y)
    x = layers.Add()([layers.Dense(8, activation="gelu", name="narrow")(y), x])
    x = SequencePooling(name="pool")(layers.LayerNormalization(epsilon=1e-5, name="norm")(x))
    model = keras.Model(image, layers.Dense(5, name="kind")(x))
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    model.compile(keras.optimizers.AdamW(0.001, weight_decay=0.0001), loss)
    return model


def rows(rng):
    return {"image": rng.normal(size=(4, 12, 12, 3))}, {"kind": np.eye(5)[rng.integers(0, 5, 4)]}
