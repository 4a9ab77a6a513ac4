"""Image similarity estimation using a siamese network with a triplet loss."""

import keras
from keras import layers, ops

RENAMED = [("^sequential/", "")]


class SiameseModel(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.embedding = keras.Sequential(
            [
                layers.Conv2D(6, 3, strides=2, activation="relu", name="embed:conv"),
                layers.Flatten(),
                layers.Dense(8, activation="relu", name="embed:hidden"),
                layers.BatchNormalization(name="embed:norm"),
                layers.Dense(5, name="embed:vector"),
            ],
            name="sequential",
        )

    def call(self, inputs, training=None):
        names = ("anchor", "positive", "negative")
        anchor, positive, negative = (self.embedding(inputs[name], training=training) for name in names)
        ap = ops.sum(ops.square(anchor - positive), -1)
        an = ops.sum(ops.square(anchor - negative), -1)
        self.add_loss(ops.mean(ops.maximum(ap - an + 0.5, 0.0)))
        return {"vector": anchor}


def build():
    model = SiameseModel()
    model.compile(keras.optimizers.Adam(0.0001))
    return model


def rows(rng):
    return {name: rng.normal(size=(5, 8, 8, 3)) for name in ("anchor", "positive", "negative")}, {}
