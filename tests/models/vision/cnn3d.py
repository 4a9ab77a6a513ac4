"""3D image classification from CT scans."""

import keras
from keras import layers


def build():
    inputs = keras.Input((12, 12, 8, 1), name="scan")
    x = layers.Conv3D(filters=4, kernel_size=3, activation="relu", name="conv_1")(inputs)
    x = layers.MaxPool3D(pool_size=2)(x)
    x = layers.BatchNormalization(name="norm_1")(x)
    x = layers.Conv3D(filters=6, kernel_size=2, activation="relu", name="conv_2")(x)
    x = layers.MaxPool3D(pool_size=2)(x)
    x = layers.BatchNormalization(name="norm_2")(x)
    x = layers.GlobalAveragePooling3D()(x)
    x = layers.Dense(units=8, activation="relu", name="hidden")(x)
    x = layers.Dropout(0.0)(x)
    model = keras.Model(inputs, layers.Dense(units=1, activation="sigmoid", name="ill")(x))
    schedule = keras.optimizers.schedules.ExponentialDecay(0.01, decay_steps=2, decay_rate=0.5, staircase=True)
    model.compile(loss="binary_crossentropy", optimizer=keras.optimizers.Adam(learning_rate=schedule))
    return model


def rows(rng):
    return {"scan": rng.normal(size=(3, 12, 12, 8, 1))}, {"ill": rng.integers(0, 2, (3, 1))}
