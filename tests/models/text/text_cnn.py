"""Kim's network for sentences."""

import keras
from keras import layers


def build():
    words = keras.Input((12,), dtype="int64", name="words")
    x = layers.Embedding(30, 8, name="embed")(words)
    parts = []
    for size in (2, 3, 4):
        y = layers.Conv1D(6, size, activation="relu", name=f"conv_{size}")(x)
        parts.append(layers.GlobalMaxPooling1D()(y))
    x = layers.Dropout(0.0)(layers.concatenate(parts))
    decay = keras.regularizers.L2(0.01)
    topic = layers.Dense(4, activation="softmax", kernel_regularizer=decay, name="topic")(x)
    model = keras.Model(words, topic)
    model.compile(keras.optimizers.Adadelta(1.0), "sparse_categorical_crossentropy")
    return model


def rows(rng):
    return {"words": rng.integers(0, 30, (5, 12))}, {"topic": rng.integers(0, 4, 5)}
