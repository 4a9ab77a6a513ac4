"""Character-level recurrent sequence-to-sequence model."""

import keras
import numpy as np
from keras import layers


def build():
    source = keras.Input((None, 7), name="source")
    _, h, c = layers.LSTM(8, return_state=True, name="encoder")(source)
    target = keras.Input((None, 6), name="target")
    x = layers.LSTM(8, return_sequences=True, name="decoder")(target, initial_state=[h, c])
    model = keras.Model([source, target], layers.Dense(6, activation="softmax", name="next")(x))
    model.compile(optimizer="rmsprop", loss="categorical_crossentropy")
    return model


def rows(rng):
    source, target = np.eye(7)[rng.integers(0, 7, (3, 6))], np.eye(6)[rng.integers(0, 6, (3, 5))]
    return {"source": source, "target": target[:, :-1]}, {"next": target[:, 1:]}
