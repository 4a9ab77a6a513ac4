"""Text generation with a miniature GPT."""

import keras
from blocks_keras import EMBEDDINGS, TokenAndPositionEmbedding, TransformerBlock
from keras import layers

RENAMED = EMBEDDINGS


def build():
    inputs = keras.Input(shape=(9,), dtype="int64", name="words")
    x = TokenAndPositionEmbedding(9, 20, 8, name="embed")(inputs)
    x = TransformerBlock(8, 2, 12, causal=True, name="decoder_1")(x)
    x = TransformerBlock(8, 2, 12, causal=True, name="decoder_2")(x)
    model = keras.Model(inputs, layers.Dense(20, name="next")(x))
    model.compile("adam", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def rows(rng):
    words = rng.integers(0, 20, (3, 10))
    return {"words": words[:, :-1]}, {"next": words[:, 1:]}
