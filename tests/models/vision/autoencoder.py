"""Convolutional autoencoder for image denoising."""

import keras
from keras import layers


def build():
    inputs = keras.Input((12, 12, 1), name="noisy")
    x = layers.Conv2D(6, (3, 3), activation="relu", padding="same", name="conv_1")(inputs)
    x = layers.MaxPooling2D((2, 2), padding="same")(x)
    x = layers.Conv2D(6, (3, 3), activation="relu", padding="same", name="conv_2")(x)
    x = layers.MaxPooling2D((2, 2), padding="same")(x)
    x = layers.Conv2DTranspose(6, (3, 3), strides=2, activation="relu", padding="same", name="up_1")(x)
    x = layers.Conv2DTranspose(6, (3, 3), strides=2, activation="relu", padding="same", name="up_2")(x)
    x = layers.Conv2D(1, (3, 3), activation="sigmoid", padding="same", name="clean")(x)
    model = keras.Model(inputs, x)
    model.compile(optimizer="adam", loss="binary_crossentropy")
    return model


def rows(rng):
    return {"noisy": rng.uniform(size=(3, 12, 12, 1))}, {"clean": rng.uniform(size=(3, 12, 12, 1))}
