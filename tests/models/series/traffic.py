"""Traffic forecasting using graph neural networks and LSTM."""

import keras
import numpy as np
from keras import layers, ops

RENAMED = [("^graph_conv/weight$", "weight/kernel"), ("^lstmgc/(read|later)/", r"\1/")]
EDGES = np.array([[0, 1], [0, 2], [1, 0], [2, 0], [2, 3], [3, 2]])


class GraphConv(layers.Layer):
    def __init__(self, in_feat, out_feat, num_nodes, **kwargs):
        super().__init__(**kwargs)
        self.num_nodes = num_nodes
        self.weight = self.add_weight(shape=(in_feat, out_feat), name="weight")

    def aggregate(self, features):
        neighbours = ops.take(features, EDGES[:, 1], axis=0)
        counts = np.bincount(EDGES[:, 0]).reshape(-1, 1, 1, 1)
        return ops.segment_sum(neighbours, EDGES[:, 0], num_segments=self.num_nodes) / counts

    def call(self, features):  # (nodes, batch, times, features)
        representation = ops.matmul(features, self.weight)
        aggregated = ops.matmul(self.aggregate(features), self.weight)
        return ops.relu(ops.concatenate([representation, aggregated], axis=-1))


class LSTMGC(layers.Layer):
    def __init__(self, in_feat, out_feat, lstm_units, output_seq_len, num_nodes, **kwargs):
        super().__init__(**kwargs)
        self.graph_conv = GraphConv(in_feat, out_feat, num_nodes, name="graph_conv")
        self.lstm = layers.LSTM(lstm_units, activation="relu", name="read")
        self.dense = layers.Dense(output_seq_len, name="later")

    def call(self, inputs):
        x = self.graph_conv(ops.transpose(inputs, [2, 0, 1, 3]))
        nodes, batch, times, features = x.shape
        x = self.lstm(ops.reshape(x, (nodes * batch, times, features)))
        return ops.transpose(ops.reshape(self.dense(x), (nodes, batch, -1)), [1, 2, 0])


class Traffic(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.lstmgc = LSTMGC(1, 3, 6, 3, 4, name="lstmgc")

    def call(self, inputs):
        return self.lstmgc(inputs["speeds"])


def build():
    model = Traffic()
    model.compile(optimizer=keras.optimizers.RMSprop(learning_rate=0.0002), loss=keras.losses.MeanSquaredError())
    return model


def rows(rng):
    return {"speeds": rng.normal(size=(4, 5, 4, 1))}, {"forecast": rng.normal(size=(4, 3, 4))}
