"""Classification using attention-based deep multiple instance learning."""

import keras
from keras import layers, ops


class MILAttention(layers.Layer):
    def build(self, shape):
        dim = shape[-1]
        decay = keras.regularizers.L2(0.01)
        self.v = self.add_weight(shape=(dim, 4), name="v")
        self.u = self.add_weight(shape=(dim, 4), name="u")
        self.w = self.add_weight(shape=(4, 1), regularizer=decay, name="w")

    def call(self, x):
        gated = ops.tanh(ops.matmul(x, self.v)) * ops.sigmoid(ops.matmul(x, self.u))
        return ops.softmax(ops.matmul(gated, self.w), axis=1)


RENAMED = [("^share/v", "tanh/kernel"), ("^share/u", "gate/kernel"), ("^share/w", "score/kernel")]


def build():
    bag = keras.Input((3, 5, 5), name="bag")
    x = layers.Reshape((3, 25))(bag)
    x = layers.Dense(8, activation="relu", name="hidden_1")(x)
    x = layers.Dense(6, activation="relu", name="hidden_2")(x)
    share = MILAttention(name="share")(x)
    x = layers.Flatten()(layers.multiply([share, x]))
    positive = layers.Dense(2, activation="softmax", name="positive")(x)
    model = keras.Model(bag, {"positive": positive, "share": share})
    model.compile(optimizer="adam", loss={"positive": "sparse_categorical_crossentropy"})
    return model


def rows(rng):
    return {"bag": rng.normal(size=(5, 3, 5, 5))}, {"positive": rng.integers(0, 2, 5)}
