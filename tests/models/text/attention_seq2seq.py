"""Translation with recurrent networks and attention, taught by the right words so far."""

import keras
from keras import layers


def build():
    source = keras.Input((None,), dtype="int64", name="source")
    target = keras.Input((None,), dtype="int64", name="target")
    encoded = layers.Embedding(15, 6, mask_zero=True, name="from")(source)
    encoded, state = layers.GRU(8, return_sequences=True, return_state=True, name="encoder")(encoded)
    x = layers.Embedding(14, 6, mask_zero=True, name="to")(target)
    x = layers.GRU(8, return_sequences=True, name="decoder")(x, initial_state=state)
    context = layers.Attention()([x, encoded])
    x = layers.Concatenate()([context, x])
    x = layers.Dense(8, activation="tanh", name="attentional")(x)
    model = keras.Model([source, target], layers.Dense(14, name="next")(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.002, clipnorm=1.0), loss)
    return model


def rows(rng):
    source, target = rng.integers(1, 15, (3, 6)), rng.integers(1, 14, (3, 6))
    source[1, 4:], target[0, 3:] = 0, 0
    return {"source": source, "target": target[:, :-1]}, {"next": target[:, 1:]}
