"""What the page holds, read back from its text as a stranger would read it."""

import base64
import json
import re

import numpy as np

from trainer.explain import page
from trainer.explain.samples import PICTURES
from trainer.model import MODELS, Scratch
from trainer.model.step import error


def samples_of(text: str):
    found = re.search(
        r'<script type="application/json" id="samples">(.*?)</script>', text, re.DOTALL
    )
    return json.loads(found[1])


def unpack(table):
    if isinstance(table, dict):
        return np.frombuffer(base64.b64decode(table["int16"]), "<i2") / table["per_unit"]
    return np.array(table)


def grid_of(picture):
    """Every point of the page's grid (count^C, C) and the shape (count, …) of a table."""
    axis = picture["lo"] + picture["step"] * np.arange(picture["count"])
    outputs = len(picture["outputs"])
    points = np.stack(np.meshgrid(*[axis] * outputs, indexing="ij"), -1).reshape(-1, outputs)
    return points, (picture["count"],) * outputs


def model_at(name: str, z, y):
    """Loss (B,), ŷ − y and dL/dz (B, C) of the model table, for scores z (B, C) and a target."""
    model = MODELS[PICTURES[name].model, PICTURES[name].loss]
    B, C = z.shape
    wrong, loss = np.empty((B, C, 1)), np.empty((B, 1))
    scratch = Scratch.of(np, B, C)
    targets = np.tile(np.reshape(np.float64(y), (1, C, 1)), (B, 1, 1))
    dz = error(model, np, z[:, :, None].copy(), targets, wrong, loss, scratch)
    return loss[:, 0], wrong[:, :, 0].copy(), dz[:, :, 0].copy()


PAGE = page()
SAMPLES = samples_of(PAGE)
