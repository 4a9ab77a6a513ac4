"""Next-frame video prediction with convolutional LSTMs."""

import keras
from keras import layers


def build():
    inputs = keras.Input((4, 8, 8, 1), name="frames")
    x = layers.ConvLSTM2D(3, (5, 5), padding="same", return_sequences=True, activation="relu", name="read_1")(inputs)
    x = layers.BatchNormalization(name="norm_1")(x)
    x = layers.ConvLSTM2D(3, (3, 3), padding="same", return_sequences=True, activation="relu", name="read_2")(x)
    x = layers.BatchNormalization(name="norm_2")(x)
    x = layers.Conv3D(1, kernel_size=(3, 3, 3), activation="sigmoid", padding="same", name="next")(x)
    model = keras.Model(inputs, x)
    model.compile(loss="binary_crossentropy", optimizer="adam")
    return model


def rows(rng):
    frames = rng.uniform(size=(2, 5, 8, 8, 1))
    return {"frames": frames[:, :-1]}, {"next": frames[:, 1:]}
