"""Multi-gate mixture of experts."""

import keras
from keras import layers, ops

RENAMED = [("^mix/experts_kernel", "experts/kernel"), ("^mix/experts_bias", "experts/bias"), ("^mix/", "")]


class MMoE(layers.Layer):
    def __init__(self, units, experts, tasks, **kwargs):
        super().__init__(**kwargs)
        self.units, self.experts, self.tasks = units, experts, tasks

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], self.experts * self.units), name="experts_kernel")
        self.bias = self.add_weight(shape=(self.experts * self.units,), initializer="zeros", name="experts_bias")
        self.gates = [
            layers.Dense(self.experts, activation="softmax", use_bias=False, name=f"{task}_gate") for task in self.tasks
        ]
        for gate in self.gates:
            gate.build(shape)

    def call(self, x):
        outputs = ops.relu(ops.matmul(x, self.kernel) + self.bias)
        outputs = ops.reshape(outputs, (-1, self.experts, self.units))
        return [ops.sum(ops.expand_dims(gate(x), -1) * outputs, axis=1) for gate in self.gates]


def build():
    features = keras.Input((6,), name="features")
    click, stay = MMoE(4, 3, ["click", "stay"], name="mix")(features)
    click = layers.Dense(4, activation="relu", name="click_hidden")(click)
    stay = layers.Dense(4, activation="relu", name="stay_hidden")(stay)
    heads = {
        "click": layers.Dense(1, activation="sigmoid", name="click")(click),
        "stay": layers.Dense(1, name="stay")(stay),
    }
    model = keras.Model(features, heads)
    losses = {"click": "binary_crossentropy", "stay": keras.losses.Huber()}
    model.compile("adam", loss=losses, loss_weights={"click": 1.0, "stay": 0.3})
    return model


def rows(rng):
    y = {"click": rng.integers(0, 2, (6, 1)), "stay": 2 * rng.normal(size=(6, 1))}
    return {"features": rng.normal(size=(6, 6))}, y
