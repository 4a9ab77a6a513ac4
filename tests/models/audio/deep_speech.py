"""Automatic speech recognition using CTC."""

import keras
from keras import layers


def build():
    inputs = keras.Input((None, 8), name="spectrogram")
    x = layers.Reshape((-1, 8, 1))(inputs)
    x = layers.Conv2D(3, [5, 5], strides=[2, 2], padding="same", use_bias=False, name="conv_1")(x)
    x = layers.ReLU()(layers.BatchNormalization(name="norm_1")(x))
    x = layers.Conv2D(3, [5, 3], strides=[1, 2], padding="same", use_bias=False, name="conv_2")(x)
    x = layers.ReLU()(layers.BatchNormalization(name="norm_2")(x))
    x = layers.Reshape((-1, 6))(x)
    x = layers.Bidirectional(layers.GRU(5, return_sequences=True), name="read_1")(x)
    x = layers.Dropout(0.0)(x)
    x = layers.Bidirectional(layers.GRU(5, return_sequences=True), name="read_2")(x)
    x = layers.ReLU()(layers.Dense(8, name="dense")(x))
    x = layers.Dropout(0.0)(x)
    model = keras.Model(inputs, layers.Dense(6, name="text")(x))
    model.compile(optimizer=keras.optimizers.Adam(learning_rate=1e-4), loss=keras.losses.CTC())
    return model


def rows(rng):
    text = rng.integers(1, 6, (3, 3))
    text[1, 2:] = 0
    return {"spectrogram": rng.normal(size=(3, 10, 8))}, {"text": text}
