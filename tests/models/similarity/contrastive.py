"""Image similarity estimation using a siamese network with a contrastive loss."""

import keras
from keras import layers, ops

RENAMED = [("^sequential/", "")]


def contrastive_loss(same, distance, margin=1.0):
    near, far = ops.square(distance), ops.square(ops.maximum(margin - distance, 0))
    return ops.mean(same * near + (1 - same) * far)


class SiameseModel(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.embedding = keras.Sequential(
            [
                layers.Conv2D(4, 3, activation="tanh", name="embed:conv_1"),
                layers.AveragePooling2D(pool_size=(2, 2)),
                layers.Conv2D(6, 3, activation="tanh", name="embed:conv_2"),
                layers.Flatten(),
                layers.Dense(5, activation="tanh", name="embed:vector"),
            ],
            name="sequential",
        )

    def call(self, inputs):
        return {"vector": self.embedding(inputs["left"])}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        squared = ops.sum(ops.square(y_pred["vector"] - self.embedding(x["right"])), axis=1)
        return contrastive_loss(y, ops.sqrt(ops.maximum(squared, 1e-7)))


def build():
    model = SiameseModel()
    model.compile("rmsprop")
    return model


def rows(rng):
    x = {name: rng.normal(size=(5, 12, 12, 1)) for name in ("left", "right")}
    return x, {"same": rng.integers(0, 2, 5).astype("float32")}
