"""Sequential recommendation by self-attention, with a softmax over all items."""

import keras
from blocks_keras import TokenAndPositionEmbedding
from keras import layers

RENAMED = [("^items_in/token_emb/", "look/"), ("^items_in/pos_emb/", "place/")]


def build():
    items = keras.Input((6,), dtype="int64", name="items")
    x = TokenAndPositionEmbedding(6, 12, 6, name="items_in")(items)
    y = layers.LayerNormalization(epsilon=1e-8, name="norm_1")(x)
    x = x + layers.MultiHeadAttention(num_heads=1, key_dim=6, name="attend")(y, y, use_causal_mask=True)
    y = layers.LayerNormalization(epsilon=1e-8, name="norm_2")(x)
    y = layers.Conv1D(6, 1, activation="relu", name="wide")(y)
    x = x + layers.Conv1D(6, 1, name="narrow")(y)
    x = layers.LayerNormalization(epsilon=1e-8, name="norm")(x)
    model = keras.Model(items, layers.Dense(12, use_bias=False, name="next")(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=0)
    model.compile(keras.optimizers.Adam(0.001, beta_2=0.98), loss)
    return model


def rows(rng):
    items = rng.integers(1, 12, (4, 7))
    items[0, 4:], items[3, 5:] = 0, 0
    return {"items": items[:, :-1]}, {"next": items[:, 1:]}
