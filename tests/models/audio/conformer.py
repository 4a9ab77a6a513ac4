"""A Conformer encoder with CTC, without relative positions."""

import keras
from keras import layers


def feed(x, name):
    y = layers.LayerNormalization(name=f"{name}:norm")(x)
    y = layers.Dense(12, activation="swish", name=f"{name}:wide")(y)
    y = layers.Dropout(0.0)(y)
    return x + 0.5 * layers.Dense(6, name=f"{name}:narrow")(y)


def build():
    spectrogram = keras.Input((None, 6), name="spectrogram")
    x = feed(spectrogram, "feed_1")
    y = layers.LayerNormalization(name="att_norm")(x)
    x = x + layers.MultiHeadAttention(num_heads=2, key_dim=3, name="attend")(y, y)
    y = layers.LayerNormalization(name="conv_norm")(x)
    y = keras.activations.glu(layers.Conv1D(12, 1, name="pointwise_1")(y), axis=-1)
    y = layers.DepthwiseConv1D(5, padding="same", name="depthwise")(y)
    y = layers.Activation("swish")(layers.BatchNormalization(name="norm")(y))
    x = x + layers.Conv1D(6, 1, name="pointwise_2")(y)
    x = layers.LayerNormalization(name="last_norm")(feed(x, "feed_2"))
    model = keras.Model(spectrogram, layers.Dense(5, name="text")(x))
    model.compile(keras.optimizers.Adam(0.001, global_clipnorm=5.0), keras.losses.CTC())
    return model


def rows(rng):
    return {"spectrogram": rng.normal(size=(3, 8, 6))}, {"text": rng.integers(1, 5, (3, 2))}
