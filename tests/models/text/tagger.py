"""Named entity recognition using Transformers, with the mask of the padding."""

import keras
from blocks_keras import EMBEDDINGS, TokenAndPositionEmbedding, TransformerBlock
from keras import layers

RENAMED = EMBEDDINGS


def build():
    inputs = keras.Input(shape=(None,), dtype="int64", name="words")
    x = TokenAndPositionEmbedding(12, 20, 8, mask_zero=True, name="embed")(inputs)
    block = TransformerBlock(8, 2, 12, name="encoder")
    block.supports_masking = True
    x = block(x)
    x = layers.Dropout(0.0)(x)
    x = layers.Dense(8, activation="relu", name="hidden")(x)
    x = layers.Dropout(0.0)(x)
    model = keras.Model(inputs, layers.Dense(5, activation="softmax", name="tag")(x))
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    return model


def rows(rng):
    words = rng.integers(1, 20, (3, 8))
    words[0, 5:], words[2, 3:] = 0, 0
    return {"words": words}, {"tag": rng.integers(0, 5, (3, 8))}
