"""Video classification with a CNN-RNN architecture."""

import keras
from keras import layers

RENAMED = [("conv/conv_of_frame/", "conv/")]


def build():
    inputs = keras.Input((None, 8, 8, 2), name="video")
    frame = layers.Conv2D(4, 3, activation="relu", name="conv_of_frame")
    x = layers.TimeDistributed(frame, name="conv")(inputs)
    x = layers.TimeDistributed(layers.GlobalAveragePooling2D())(x)
    x = layers.GRU(6, return_sequences=True, name="read")(x)
    x = layers.GRU(4, name="sum_up")(x)
    x = layers.Dropout(0.0)(x)
    x = layers.Dense(8, activation="relu", name="hidden")(x)
    model = keras.Model(inputs, layers.Dense(3, activation="softmax", name="action")(x))
    model.compile(loss="sparse_categorical_crossentropy", optimizer="adam")
    return model


def rows(rng):
    return {"video": rng.normal(size=(3, 4, 8, 8, 2))}, {"action": rng.integers(0, 3, 3)}
