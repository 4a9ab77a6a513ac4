"""Timeseries anomaly detection using an autoencoder."""

import keras
from keras import layers


def build():
    model = keras.Sequential(
        [
            keras.Input((16, 1), name="window"),
            layers.Conv1D(6, 7, padding="same", strides=2, activation="relu", name="down_1"),
            layers.Dropout(rate=0.0),
            layers.Conv1D(4, 7, padding="same", strides=2, activation="relu", name="down_2"),
            layers.Conv1DTranspose(4, 7, padding="same", strides=2, activation="relu", name="up_1"),
            layers.Dropout(rate=0.0),
            layers.Conv1DTranspose(6, 7, padding="same", strides=2, activation="relu", name="up_2"),
            layers.Conv1DTranspose(1, 7, padding="same", name="restored"),
        ]
    )
    model.compile(optimizer=keras.optimizers.Adam(learning_rate=0.001), loss="mse")
    return model


def rows(rng):
    window = rng.normal(size=(5, 16, 1))
    return {"window": window}, {"restored": window}
