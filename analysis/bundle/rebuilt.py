"""Rebuilds a bundle's network in a process of its own, from its recipe and weights, and labels images by it.

    python -m analysis.bundle.rebuilt FOLDER

It is how `temper evaluate FOLDER` uses the weights, and needs Temper and the user's code. They are tried so where
torch.export cannot write the network, so that no program could run by them. `analysis.bundle.fresh` says how images
come and labels go.
"""

import os
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from analysis.bundle.fresh import Networks, Scores, answer
from trainables.checkpoints.trained_model import rebuild
from trainables.config import parse, read_yaml
from trainables.data.splits import load_splits
from trainables.recipe.recipe import Recipe


def networks(folder: Path) -> Networks:
    """Return what computes scores (n, classes) of images (n, channels, height, width) by model.safetensors."""
    exported = read_yaml((folder / "recipe.yaml").read_bytes(), "recipe.yaml")
    assert isinstance(exported, dict), "it was written a moment ago"
    recipe = parse(Recipe, exported["recipe"], where="recipe.yaml")
    network = rebuild(recipe, load_splits(recipe.data), (folder / "model.safetensors").read_bytes())

    def scores(images: NDArray[np.float32]) -> Scores:
        with torch.no_grad():
            computed: Scores = network(torch.from_numpy(images)).numpy()
        return computed

    return {"model.safetensors": scores}


if __name__ == "__main__":
    with os.fdopen(os.dup(1), "w") as told:
        os.dup2(2, 1)  # what the user's code prints is no answer
        answer(networks(Path(sys.argv[1])), sys.stdin.buffer, told)
