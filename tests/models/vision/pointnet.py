"""Point cloud classification with PointNet, with one T-net and without its penalty."""

import keras
from keras import layers


def conv(x, filters, name):
    x = layers.Conv1D(filters, kernel_size=1, padding="valid", name=f"{name}:conv")(x)
    return layers.Activation("relu")(layers.BatchNormalization(momentum=0.0, name=f"{name}:norm")(x))


def dense(x, units, name):
    x = layers.Dense(units, name=f"{name}:dense")(x)
    return layers.Activation("relu")(layers.BatchNormalization(momentum=0.0, name=f"{name}:norm")(x))


def tnet(inputs, features):
    x = conv(conv(inputs, 4, "turn_conv_1"), 8, "turn_conv_2")
    x = dense(layers.GlobalMaxPooling1D()(x), 6, "turn_dense")
    x = layers.Dense(features * features, kernel_initializer="zeros", name="turn")(x)
    return layers.Dot(axes=(2, 1))([inputs, layers.Reshape((features, features))(x)])


def build():
    points = keras.Input((10, 3), name="points")
    x = conv(conv(tnet(points, 3), 6, "conv_1"), 10, "conv_2")
    x = dense(layers.GlobalMaxPooling1D()(x), 8, "hidden")
    x = layers.Dropout(0.0)(x)
    model = keras.Model(points, layers.Dense(4, activation="softmax", name="kind")(x))
    model.compile(loss="sparse_categorical_crossentropy", optimizer=keras.optimizers.Adam(learning_rate=0.001))
    return model


def rows(rng):
    return {"points": rng.normal(size=(5, 10, 3))}, {"kind": rng.integers(0, 4, 5)}
