"""Character-level text generation with LSTM."""

import keras
import numpy as np
from keras import layers


def build():
    model = keras.Sequential(
        [
            keras.Input(shape=(6, 9), name="text"),
            layers.LSTM(8, name="read"),
            layers.Dense(9, activation="softmax", name="next"),
        ]
    )
    model.compile(loss="categorical_crossentropy", optimizer=keras.optimizers.RMSprop(learning_rate=0.01))
    return model


def rows(rng):
    eye = np.eye(9)
    return {"text": eye[rng.integers(0, 9, (5, 6))]}, {"next": eye[rng.integers(0, 9, 5)]}
