"""Holds a quantized network as it is deployed: the file, opened in onnxruntime, and the floats it was rounded from."""

from dataclasses import dataclass

import torch
from torch import nn

from trainables.checkpoints.trained_model import floating_point_parent, rebuild
from trainables.compression.compressor import Compressors
from trainables.data.splits import Splits
from trainables.deployment.onnx_export import to_onnx
from trainables.deployment.onnx_runtime import OnnxModel, OnnxNetwork
from trainables.recipe.recipe import Recipe


@dataclass(frozen=True, eq=False)
class DeployedModel:
    """A quantized network as it is deployed.

    Attributes:
        file: computes the file's scores, for images on the CPU.
        parent: the network in floating point, on the CPU.
    """

    file: nn.Module
    parent: nn.Module


def deployed_model(recipe: Recipe, splits: Splits, weights: bytes) -> DeployedModel:
    """Exports a quantized network, and opens the file.

    Args:
        recipe: the recipe of the quantized network.
        splits: the data.
        weights: its parameters and buffers, content of a safetensors file.

    Raises:
        InvalidInput: the packages for it are missing, or the network has no ONNX form.
    """
    model = rebuild(recipe, splits, weights)
    content = to_onnx(model, splits.train.images.shape[1:], Compressors(recipe.methods, seed=recipe.seed))
    file = OnnxNetwork(OnnxModel(content, threads=torch.get_num_threads()))
    return DeployedModel(file, floating_point_parent(recipe, splits, weights))
