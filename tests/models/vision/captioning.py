"""Image captioning, with the masks of the captions."""

import keras
import numpy as np
from blocks_keras import Masked, TokenAndPositionEmbedding
from keras import layers, ops

RENAMED = [("^said/token_emb/", "token/"), ("^said/pos_emb/", "place/")]


class Said(TokenAndPositionEmbedding):
    def call(self, x):
        return self.token_emb(x) * np.sqrt(8.0) + self.pos_emb(ops.arange(0, ops.shape(x)[-1], 1))


def build():
    picture, words = keras.Input((8, 8, 3), name="picture"), keras.Input((5,), dtype="int64", name="words")
    x = layers.Conv2D(8, 4, strides=4, activation="relu", name="conv")(picture)
    x = layers.Reshape((-1, x.shape[-1]))(x)
    x = layers.Dense(8, activation="relu", name="enc_dense")(layers.LayerNormalization(name="enc_norm_1")(x))
    y = layers.MultiHeadAttention(num_heads=1, key_dim=8, name="enc_att")(x, x)
    encoded = layers.LayerNormalization(name="encoded")(x + y)
    x = Said(5, 12, 8, mask_zero=True, name="said")(words)
    y = layers.MultiHeadAttention(num_heads=2, key_dim=8, name="self_att")(x, x, use_causal_mask=True)
    out_1 = layers.LayerNormalization(name="out_1")(Masked()([layers.add([x, y]), words]))
    y = layers.MultiHeadAttention(num_heads=2, key_dim=8, name="cross_att")(out_1, encoded)
    out_2 = layers.LayerNormalization(name="out_2")(Masked()([layers.add([out_1, y]), words]))
    x = layers.Dense(8, name="narrow")(layers.Dense(10, activation="relu", name="wide")(out_2))
    x = layers.LayerNormalization(name="out_3")(layers.add([x, out_2]))
    model = keras.Model([picture, words], layers.Dense(12, activation="softmax", name="next")(x))
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def rows(rng):
    words = rng.integers(1, 12, (3, 6))
    words[1, 3:] = 0
    return {"picture": rng.normal(size=(3, 8, 8, 3)), "words": words[:, :-1]}, {"next": words[:, 1:]}


def seen(x):
    return {"next": x["words"] != 0}
