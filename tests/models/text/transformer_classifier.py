"""Text classification with Transformer."""

import keras
from blocks_keras import EMBEDDINGS, TokenAndPositionEmbedding, TransformerBlock
from keras import layers

RENAMED = EMBEDDINGS


def build():
    inputs = keras.Input(shape=(10,), dtype="int64", name="words")
    x = TokenAndPositionEmbedding(10, 30, 8, name="embed")(inputs)
    x = TransformerBlock(8, 2, 8, name="encoder")(x)
    x = layers.GlobalAveragePooling1D()(x)
    x = layers.Dropout(0.0)(x)
    x = layers.Dense(8, activation="relu", name="hidden")(x)
    x = layers.Dropout(0.0)(x)
    model = keras.Model(inputs, layers.Dense(2, activation="softmax", name="good")(x))
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    return model


def rows(rng):
    return {"words": rng.integers(0, 30, (4, 10))}, {"good": rng.integers(0, 2, 4)}
