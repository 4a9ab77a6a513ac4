"""Retrieval with two towers and a softmax over the batch."""

import keras
from keras import layers, ops

RENAMED = [("^sequential/", "")]


def tower(name, count):
    return keras.Sequential(
        [layers.Embedding(count, 4, name=f"{name}_vector"), layers.Flatten(), layers.Dense(3, name=f"{name}_tower")],
        name="sequential",
    )


class TwoTower(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.user, self.item = tower("user", 8), tower("item", 9)
        self.loss_fn = keras.losses.CategoricalCrossentropy(from_logits=True)

    def call(self, inputs):
        return {"user_tower": self.user(inputs["user"]), "item_tower": self.item(inputs["item"])}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        scores = ops.matmul(y_pred["user_tower"], ops.transpose(y_pred["item_tower"]))
        return self.loss_fn(ops.eye(scores.shape[0]), scores)


def build():
    model = TwoTower()
    model.compile(optimizer=keras.optimizers.Adagrad(0.1))
    return model


def rows(rng):
    return {"user": rng.integers(0, 8, (6, 1)), "item": rng.integers(0, 9, (6, 1))}, {}
