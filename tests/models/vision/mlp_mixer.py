"""Image classification with modern MLP models: MLP-Mixer."""

import keras
from keras import layers, ops


class Mixer(layers.Layer):
    def __init__(self, patches, dim, **kwargs):
        super().__init__(**kwargs)
        self.norm_1 = layers.LayerNormalization(name="norm_1")
        self.norm_2 = layers.LayerNormalization(name="norm_2")
        self.tokens_1 = layers.Dense(patches, activation="gelu", name="tokens_1")
        self.tokens_2 = layers.Dense(patches, name="tokens_2")
        self.channels_1 = layers.Dense(dim, activation="gelu", name="channels_1")
        self.channels_2 = layers.Dense(dim, name="channels_2")

    def call(self, inputs):
        x = ops.transpose(self.norm_1(inputs), (0, 2, 1))
        x = ops.transpose(self.tokens_2(self.tokens_1(x)), (0, 2, 1)) + inputs
        return x + self.channels_2(self.channels_1(self.norm_2(x)))


def build():
    inputs = keras.Input((12, 12, 3), name="image")
    x = layers.Conv2D(8, 4, strides=4, name="patches")(inputs)
    x = layers.Reshape((-1, 8))(x)
    x = Mixer(9, 8, name="mixer_1")(x)
    x = Mixer(9, 8, name="mixer_2")(x)
    x = layers.GlobalAveragePooling1D()(x)
    model = keras.Model(inputs, layers.Dense(5, activation="softmax", name="kind")(x))
    optimizer = keras.optimizers.AdamW(learning_rate=0.005, weight_decay=0.0001)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    return model


def rows(rng):
    return {"image": rng.normal(size=(4, 12, 12, 3))}, {"kind": rng.integers(0, 5, 4)}
