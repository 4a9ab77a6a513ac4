"""Timeseries classification with a Transformer model."""

import keras
from keras import layers


def encoder(inputs, name):
    x = layers.MultiHeadAttention(key_dim=4, num_heads=2, dropout=0.0, name=f"{name}:attend")(inputs, inputs)
    x = layers.LayerNormalization(epsilon=1e-6, name=f"{name}:norm_1")(layers.Dropout(0.0)(x))
    res = x + inputs
    x = layers.Conv1D(filters=4, kernel_size=1, activation="relu", name=f"{name}:conv_1")(res)
    x = layers.Dropout(0.0)(x)
    x = layers.Conv1D(filters=inputs.shape[-1], kernel_size=1, name=f"{name}:conv_2")(x)
    x = layers.LayerNormalization(epsilon=1e-6, name=f"{name}:norm_2")(x)
    return x + res


def build():
    inputs = keras.Input(shape=(12, 2), name="wave")
    x = encoder(encoder(inputs, "encoder_1"), "encoder_2")
    x = layers.GlobalAveragePooling1D(data_format="channels_last")(x)
    x = layers.Dense(8, activation="relu", name="hidden")(x)
    x = layers.Dropout(0.0)(x)
    model = keras.Model(inputs, layers.Dense(3, activation="softmax", name="kind")(x))
    model.compile(loss="sparse_categorical_crossentropy", optimizer=keras.optimizers.Adam(learning_rate=1e-4))
    return model


def rows(rng):
    return {"wave": rng.normal(size=(5, 12, 2))}, {"kind": rng.integers(0, 3, 5)}
