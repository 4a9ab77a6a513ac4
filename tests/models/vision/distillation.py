"""Knowledge distillation."""

import keras
from keras import layers, ops

RENAMED = [("^(student|teacher)/", "")]


def convnet(name, filters):
    return keras.Sequential(
        [
            keras.Input((12, 12, 1)),
            layers.Conv2D(filters, 3, strides=2, padding="same", name=f"{name}:conv_1"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.MaxPooling2D(pool_size=2, strides=1, padding="same"),
            layers.Conv2D(6, 3, strides=2, padding="same", name=f"{name}:conv_2"),
            layers.Flatten(),
            layers.Dense(5, name=f"{name}:logits"),
        ],
        name=name,
    )


class Distiller(keras.Model):
    def __init__(self, student, teacher, alpha=0.1, temperature=3.0):
        super().__init__()
        self.student, self.teacher = student, teacher
        self.teacher.trainable = False
        self.alpha, self.temperature = alpha, temperature
        self.student_loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.distillation_loss = keras.losses.KLDivergence()

    def call(self, inputs):
        logits = self.student(inputs["image"])
        return {"digit": logits, "soft": ops.softmax(logits / self.temperature, axis=1)}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        teacher = ops.softmax(self.teacher(x["image"], training=False) / self.temperature, axis=1)
        soft = self.distillation_loss(teacher, y_pred["soft"]) * self.temperature**2
        return self.alpha * self.student_loss(y, y_pred["digit"]) + (1 - self.alpha) * soft


def build():
    model = Distiller(convnet("student", 4), convnet("teacher", 8))
    model.compile("adam")
    return model


def rows(rng):
    return {"image": rng.uniform(size=(4, 12, 12, 1))}, {"digit": rng.integers(0, 5, 4)}
