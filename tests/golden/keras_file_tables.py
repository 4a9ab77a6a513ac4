"""Small networks for tables, losses, optimizers and operations, as examples of Keras write them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops, regularizers

Example = tuple[Any, Any, Any]
Random = np.random.Generator


def structured(rng: Random) -> Example:
    age = keras.Input(shape=(1,), name="age")
    thal = keras.Input(shape=(1,), name="thal", dtype="string")
    sex = keras.Input(shape=(1,), name="sex", dtype="int64")
    ages = rng.uniform(20, 80, (6, 1)).astype("float32")
    normalize = layers.Normalization()
    normalize.adapt(ages)
    lookup = layers.StringLookup(vocabulary=["fixed", "normal", "reversible"], output_mode="multi_hot")
    integers = layers.IntegerLookup(output_mode="int")
    integers.adapt(np.array([[0], [1], [1], [2]]))
    encoded = layers.CategoryEncoding(num_tokens=4, output_mode="one_hot")(integers(sex))
    bins = layers.Discretization(bin_boundaries=[30.0, 45.0, 60.0], output_mode="one_hot")(age)
    x = layers.concatenate([normalize(age), lookup(thal), encoded, bins])
    x = layers.Dense(6, activation="relu")(x)
    x = layers.Dropout(0.0)(x)
    model = keras.Model([age, thal, sex], layers.Dense(1, activation="sigmoid", name="target")(x))
    model.compile(keras.optimizers.SGD(0.1), "binary_crossentropy", metrics=["accuracy", keras.metrics.AUC()])
    rows = {
        "age": ages,
        "thal": np.array([["fixed"], ["normal"], ["other"], ["normal"], ["reversible"], ["fixed"]], dtype=object),
        "sex": np.array([[0], [1], [2], [7], [1], [0]]),
    }
    return model, rows, rng.integers(0, 2, (6, 1)).astype("float32")


def multi_head(rng: Random) -> Example:
    title = keras.Input(shape=(None,), name="title", dtype="int32")
    body = keras.Input(shape=(None,), name="body", dtype="int32")
    tags = keras.Input(shape=(4,), name="tags")
    a = layers.LSTM(4)(layers.Embedding(15, 5)(title))
    b = layers.LSTM(3)(layers.Embedding(20, 5)(body))
    x = layers.concatenate([a, b, tags])
    priority = layers.Dense(1, name="priority")(x)
    department = layers.Dense(3, name="department")(x)
    model = keras.Model([title, body, tags], {"priority": priority, "department": department})
    model.compile(
        optimizer=keras.optimizers.RMSprop(1e-3, rho=0.95, epsilon=1e-3),
        loss={
            "priority": keras.losses.BinaryCrossentropy(from_logits=True),
            "department": keras.losses.CategoricalCrossentropy(from_logits=True),
        },
        loss_weights={"priority": 1.0, "department": 0.2},
        metrics={"priority": ["mae"], "department": [keras.metrics.CategoricalAccuracy()]},
    )
    x = {
        "title": rng.permutation(15)[:12].reshape(4, 3).astype("int32"),
        "body": rng.permutation(20).reshape(4, 5).astype("int32"),
        "tags": rng.integers(0, 2, (4, 4)).astype("float32"),
    }
    return model, x, {"priority": rng.integers(0, 2, (4, 1)), "department": np.eye(3)[rng.integers(0, 3, 4)]}


def wide_and_deep(rng: Random) -> Example:
    wide, deep = keras.Input((5,), name="wide"), keras.Input((4,), name="deep")
    x = layers.Dense(6, activation="relu")(deep)
    x = layers.Dense(6)(x)
    x = layers.BatchNormalization(momentum=0.9)(x)
    x = layers.ELU(alpha=0.5)(x)
    x = layers.concatenate([wide, x])
    outputs = layers.Dense(1)(x)
    also = layers.Dense(1, name="also")(x)
    model = keras.Model([wide, deep], [outputs, also])
    model.compile(
        loss=["mse", "mae"], loss_weights=[0.9, 0.1], optimizer=keras.optimizers.Ftrl(0.05), metrics=[["mae"], []]
    )
    return model, [rng.normal(size=(5, 5)), rng.normal(size=(5, 4))], [rng.normal(size=(5, 1)) for _ in range(2)]


def regression(rng: Random) -> Example:
    model = keras.Sequential(name="houses")
    model.add(keras.Input((6,), name="house"))
    model.add(
        layers.Dense(
            8,
            activation="elu",
            kernel_initializer="he_normal",
            kernel_regularizer=regularizers.L1L2(1e-3, 1e-2),
            bias_regularizer=regularizers.L2(1e-2),
            activity_regularizer=regularizers.L2(1e-3),
        )
    )
    model.add(layers.Dense(6, kernel_constraint=keras.constraints.MaxNorm(1.0), activation="softplus"))
    model.add(layers.PReLU())
    model.add(layers.LayerNormalization())
    model.add(layers.Dense(1, kernel_constraint="non_neg", kernel_regularizer="l2", name="price"))
    decay = keras.optimizers.schedules.PiecewiseConstantDecay([10, 20], [0.1, 0.05, 0.01])
    optimizer = keras.optimizers.SGD(decay, momentum=0.9, weight_decay=0.01, clipvalue=0.5)
    model.compile(optimizer, keras.losses.LogCosh(), metrics=[keras.metrics.RootMeanSquaredError(), "mape"])
    return model, rng.normal(size=(5, 6)), rng.normal(size=(5, 1))


def ops_nodes(rng: Random) -> Example:
    inputs = keras.Input((6, 4), name="steps")
    x = inputs * 2 + 1 + np.array([0.5, 0.25, 0.0, -0.25], "float32")
    x = 1.0 - x / 4.0
    x = layers.Dense(4)(x)
    scores = ops.softmax(ops.einsum("btc,bsc->bts", x, inputs) / 2.0, axis=-1)
    mixed = ops.matmul(scores, x)
    first, last = x[:, 0], x[:, -1, :]
    part = x[:, 1:5:2, ::-1]
    mean = ops.mean(mixed, axis=1)
    joined = ops.concatenate([first, last, mean, ops.reshape(part, (-1, 8))], axis=-1)
    joined = -joined + ops.abs(joined) ** 2
    hidden = ops.relu(layers.Dense(5)(joined))
    hidden = ops.expand_dims(hidden, -1)
    hidden = ops.squeeze(ops.transpose(hidden, (0, 2, 1)), 1)
    gate = ops.sigmoid(layers.Dense(5)(ops.stop_gradient(joined)))
    total = ops.where(hidden > 0.5, hidden, gate) * gate
    model = keras.Model(inputs, layers.Dense(2, name="result")(total))
    model.compile(keras.optimizers.SGD(0.05), loss="mean_squared_error")
    return model, rng.normal(size=(3, 6, 4)), rng.normal(size=(3, 2))


def shared_layers(rng: Random) -> Example:
    left, right = keras.Input((None, 3), name="left"), keras.Input((None, 3), name="right")
    read = layers.LSTM(4, name="read")
    score = layers.Dense(2, activation="tanh", name="score")
    a, b = score(read(left)), score(read(right))
    x = layers.Concatenate()([a, b, layers.Dot(axes=1, normalize=True)([a, b]), layers.Subtract()([a, b])])
    outputs = layers.Dense(1, activation="sigmoid", name="same")(layers.Maximum()([x, x * 0.5]))
    model = keras.Model(inputs=[left, right], outputs=outputs)
    model.compile(keras.optimizers.Lion(0.01), loss=keras.losses.BinaryFocalCrossentropy(gamma=1.5), metrics=["AUC"])
    return model, [rng.normal(size=(4, 3, 3)), rng.normal(size=(4, 5, 3))], rng.integers(0, 2, (4, 1))


def losses(rng: Random) -> Example:
    inputs = keras.Input((4,), name="row")
    x = layers.Dense(6, activation="silu")(inputs)
    names = ("low", "shift", "hinged", "spread", "near")
    heads = [layers.Dense(2, name=name)(x) for name in names[:3]]
    heads += [layers.Dense(3, activation="softmax", name=names[3])(x), layers.Dense(3, name=names[4])(x)]
    model = keras.Model(inputs, heads)
    model.compile(
        keras.optimizers.Adamax(0.01, epsilon=1e-3),
        loss=[
            keras.losses.Huber(),
            "mean_squared_logarithmic_error",
            "squared_hinge",
            keras.losses.KLDivergence(),
            keras.losses.CosineSimilarity(axis=-1),
        ],
        loss_weights=[1.0, 0.5, 0.25, 2.0, 1.5],
    )
    targets = [rng.normal(size=(4, 2)), rng.uniform(size=(4, 2)), rng.choice([-1.0, 1.0], (4, 2))]
    shares = rng.uniform(0.1, 1, (4, 3))
    targets += [shares / shares.sum(1, keepdims=True), rng.normal(size=(4, 3))]
    return model, rng.normal(size=(4, 4)), targets


TABLES = {f.__name__: f for f in (structured, multi_head, wide_and_deep, regression, ops_nodes, shared_layers, losses)}
