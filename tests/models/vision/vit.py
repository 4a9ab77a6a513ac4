"""Image classification with a vision transformer."""

import keras
from keras import layers, ops

RENAMED = [("patch_encoder/position_embedding/", "place/")]


class PatchEncoder(layers.Layer):
    def __init__(self, count, dim, **kwargs):
        super().__init__(**kwargs)
        self.count = count
        self.position_embedding = layers.Embedding(count, dim, name="position_embedding")

    def build(self, shape):
        self.position_embedding.build(())

    def call(self, patch):
        return patch + self.position_embedding(ops.expand_dims(ops.arange(self.count), 0))


def build():
    inputs = keras.Input((12, 12, 3), name="image")
    x = layers.Conv2D(8, 4, strides=4, name="patches")(inputs)
    x = PatchEncoder(9, 8, name="patch_encoder")(layers.Reshape((9, 8))(x))
    for k in (1, 2):
        x1 = layers.LayerNormalization(epsilon=1e-6, name=f"encoder_{k}:norm_1")(x)
        attention = layers.MultiHeadAttention(num_heads=2, key_dim=4, dropout=0.0, name=f"encoder_{k}:attend")(x1, x1)
        x2 = layers.Add()([attention, x])
        x3 = layers.LayerNormalization(epsilon=1e-6, name=f"encoder_{k}:norm_2")(x2)
        x3 = layers.Dense(16, activation="gelu", name=f"encoder_{k}:wide")(x3)
        x3 = layers.Dense(8, activation="gelu", name=f"encoder_{k}:narrow")(x3)
        x = layers.Add()([x3, x2])
    x = layers.LayerNormalization(epsilon=1e-6, name="norm")(x)
    x = layers.Flatten()(x)
    x = layers.Dense(12, activation="gelu", name="head")(x)
    model = keras.Model(inputs, layers.Dense(5, name="kind")(x))
    optimizer = keras.optimizers.AdamW(learning_rate=0.001, weight_decay=0.0001)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def rows(rng):
    return {"image": rng.normal(size=(4, 12, 12, 3))}, {"kind": rng.integers(0, 5, 4)}
