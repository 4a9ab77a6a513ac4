"""Contrastive pretraining with SimCLR: the loss NT-Xent over both views of all pictures."""

import keras
from keras import layers, ops

RENAMED = [("^sequential/", "")]


def nt_xent(one, other, temperature=0.1):
    z = ops.normalize(ops.concatenate([one, other], axis=0), axis=1)
    count = one.shape[0]
    similarities = ops.matmul(z, ops.transpose(z)) / temperature - 1e9 * ops.eye(2 * count)
    labels = ops.concatenate([ops.arange(count) + count, ops.arange(count)])
    return ops.mean(keras.losses.sparse_categorical_crossentropy(labels, similarities, from_logits=True))


class ContrastiveModel(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.encoder = keras.Sequential(
            [
                layers.Conv2D(6, 3, strides=2, activation="relu", name="encoder:conv_1"),
                layers.Conv2D(8, 3, strides=2, activation="relu", name="encoder:conv_2"),
                layers.Flatten(),
                layers.Dense(8, activation="relu", name="encoder:features"),
            ],
            name="sequential",
        )
        self.head = keras.Sequential(
            [layers.Dense(8, activation="relu", name="wide"), layers.Dense(6, name="projection")], name="sequential"
        )

    def call(self, inputs):
        features = [self.encoder(inputs[name]) for name in ("one", "other")]
        self.add_loss(nt_xent(*(self.head(x) for x in features)))
        return {"features": features[0]}


def build():
    model = ContrastiveModel()
    model.compile("adam")
    return model


def rows(rng):
    one = rng.normal(size=(5, 8, 8, 3))
    return {"one": one, "other": one + 0.3 * rng.normal(size=one.shape)}, {}
