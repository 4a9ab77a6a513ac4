"""Message-passing neural network for molecular property prediction: all molecules as one graph."""

import keras
from keras import layers, ops

RENAMED = [
    ("^message_passing/", "step/edge_network/"),
    ("^passing/update/(.*)$", r"step/update/\1/value"),
    ("^readout/", ""),
]


class EdgeNetwork(layers.Layer):
    def __init__(self, bond_dim, atom_dim, **kwargs):
        super().__init__(**kwargs)
        self.atom_dim = atom_dim
        self.kernel = self.add_weight(shape=(bond_dim, atom_dim**2), name="kernel")
        self.bias = self.add_weight(shape=(atom_dim**2,), initializer="zeros", name="bias")

    def call(self, atoms, bonds, pairs):
        bonds = ops.reshape(ops.matmul(bonds, self.kernel) + self.bias, (-1, self.atom_dim, self.atom_dim))
        neighbours = ops.expand_dims(ops.take(atoms, pairs[:, 0], axis=0), axis=-1)
        transformed = ops.squeeze(ops.matmul(bonds, neighbours), axis=-1)
        return ops.segment_sum(transformed, pairs[:, 1], num_segments=atoms.shape[0])


class MessagePassing(layers.Layer):
    def __init__(self, units, steps, bond_dim, **kwargs):
        super().__init__(**kwargs)
        self.units, self.steps = units, steps
        self.message_step = EdgeNetwork(bond_dim, units, name="message_passing")
        self.update_step = layers.GRUCell(units, name="update")

    def call(self, atoms, bonds, pairs):
        state = ops.pad(atoms, [(0, 0), (0, self.units - atoms.shape[-1])])
        for _ in range(self.steps):
            state, _ = self.update_step(self.message_step(state, bonds, pairs), [state])
        return state


class TransformerEncoderReadout(layers.Layer):
    def __init__(self, num_heads, embed_dim, dense_dim, **kwargs):
        super().__init__(**kwargs)
        self.attention = layers.MultiHeadAttention(num_heads, embed_dim, name="att")
        self.dense_1 = layers.Dense(dense_dim, activation="relu", name="wide")
        self.dense_2 = layers.Dense(embed_dim, name="narrow")
        self.layernorm_1 = layers.LayerNormalization(name="norm_1")
        self.layernorm_2 = layers.LayerNormalization(name="norm_2")

    def call(self, x):
        padding_mask = ops.any(ops.not_equal(x, 0.0), axis=-1)
        x = self.layernorm_1(x + self.attention(x, x, attention_mask=padding_mask[:, None]))
        return ops.mean(self.layernorm_2(x + self.dense_2(self.dense_1(x))), axis=1)


class MPNN(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.message_passing = MessagePassing(6, 2, 3, name="passing")
        self.readout = TransformerEncoderReadout(2, 6, 8, name="readout")
        self.hidden = layers.Dense(8, activation="relu", name="hidden")
        self.passes = layers.Dense(1, activation="sigmoid", name="passes")

    def call(self, inputs):
        atoms, bonds, pairs = inputs["atoms"], inputs["bond_features"], inputs["bonds"]
        molecules, count, _ = atoms.shape
        real = pairs[:, :, 1] >= 0
        pairs = pairs + ops.reshape(ops.arange(molecules) * count, (-1, 1, 1))
        state = self.message_passing(ops.reshape(atoms, (molecules * count, -1)), bonds[real], pairs[real])
        known = ops.any(ops.not_equal(atoms, 0.0), axis=-1)
        state = ops.where(known[:, :, None], ops.reshape(state, (molecules, count, -1)), 0.0)
        return self.passes(self.hidden(self.readout(state)))


def build():
    model = MPNN()
    model.compile(keras.optimizers.Adam(learning_rate=5e-4), keras.losses.BinaryCrossentropy())
    return model


def rows(rng):
    atoms, bonds = rng.normal(size=(4, 5, 4)), rng.integers(0, 3, (4, 7, 2))
    atoms[0, 3:], atoms[2, 4:] = 0, 0
    bonds[0, 5:], bonds[3, 2:] = (0, -1), (0, -1)
    features = rng.normal(size=(4, 7, 3))
    return {"atoms": atoms, "bonds": bonds, "bond_features": features}, {"passes": rng.integers(0, 2, (4, 1))}
