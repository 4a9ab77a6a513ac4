"""Classification with gated residual and variable selection networks."""

import keras
from keras import layers, ops


class GatedLinearUnit(layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.linear = layers.Dense(units, name="linear")
        self.sigmoid = layers.Dense(units, activation="sigmoid", name="gate")

    def call(self, inputs):
        return self.linear(inputs) * self.sigmoid(inputs)


class GatedResidualNetwork(layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.elu_dense = layers.Dense(units, activation="elu", name="elu_dense")
        self.linear_dense = layers.Dense(units, name="linear_dense")
        self.gated_linear_unit = GatedLinearUnit(units, name="glu")
        self.layer_norm = layers.LayerNormalization(name="norm")
        self.project = layers.Dense(units, name="project")

    def call(self, inputs):
        x = self.linear_dense(self.elu_dense(inputs))
        if inputs.shape[-1] != self.units:
            inputs = self.project(inputs)
        return self.layer_norm(inputs + self.gated_linear_unit(x))


class VariableSelection(layers.Layer):
    def __init__(self, names, units, **kwargs):
        super().__init__(**kwargs)
        self.grns = [GatedResidualNetwork(units, name=name) for name in names]
        self.grn_concat = GatedResidualNetwork(units, name="shares")
        self.softmax = layers.Dense(len(names), activation="softmax", name="share")

    def call(self, inputs):
        v = self.softmax(self.grn_concat(ops.concatenate(inputs, axis=-1)))
        x = ops.stack([grn(value) for grn, value in zip(self.grns, inputs, strict=True)], axis=1)
        return ops.squeeze(ops.matmul(ops.expand_dims(v, 1), x), axis=1)


RENAMED = [("^select/share/", "shares/share/"), ("^select/", ""), ("/glu/", "/")]


def build():
    age, weeks = keras.Input((1,), name="age"), keras.Input((1,), name="weeks")
    education = keras.Input((), name="education", dtype="int64")
    encoded = [
        layers.Dense(6, name="age_vector")(age),
        layers.Dense(6, name="weeks_vector")(weeks),
        layers.Embedding(5, 6, name="education_vector")(education),
    ]
    x = VariableSelection(["age_gated", "weeks_gated", "education_gated"], 6, name="select")(encoded)
    x = GatedResidualNetwork(6, name="gated")(x)
    model = keras.Model([age, weeks, education], layers.Dense(1, activation="sigmoid", name="rich")(x))
    model.compile(keras.optimizers.Adam(0.001), keras.losses.BinaryCrossentropy())
    return model


def rows(rng):
    x = {"age": rng.normal(size=(5, 1)), "weeks": rng.normal(size=(5, 1)), "education": rng.integers(0, 5, 5)}
    return x, {"rich": rng.integers(0, 2, (5, 1))}
