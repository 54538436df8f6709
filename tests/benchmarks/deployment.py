"""The deployed file beside PyTorch: labels, bytes and latency; `make bench` prints the table.

Each network is trained without attack, and from there, compressed, once more in floating point and once at 8 bits.
Agreement is the share of validation images that the file in onnxruntime labels as the PyTorch model does (for the 8-bit
file fake-quantized), by onnxruntime's default kernels and in floats; accuracy is the default kernels'. Latency is one
thread's, for one image and for a batch.
"""

from pathlib import Path

import onnxruntime
import torch

from tests.benchmarks.machine import machine
from trainables.compression.compressor import Compressors
from trainables.compression.config import ChannelPruning, NoCompression, Quantization
from trainables.data.config import Data
from trainables.data.splits import load_splits
from trainables.deployment.onnx_export import to_onnx
from trainables.deployment.onnx_runtime import OnnxModel, agreement
from trainables.evaluation.config import ScoringProtocol
from trainables.execution.pipeline import set_conditions
from trainables.execution.standalone import run
from trainables.models.config import Network
from trainables.recipe.recipe import Recipe
from trainables.recipe.schedule import Schedule

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
SCHEDULE = Schedule(epochs=3, learning_rate=0.05)
QUICK = ScoringProtocol(epsilon=0.1, steps=1, examples=10, progress_steps=1, progress_examples=10)
DIGITS = Recipe(data=Data(name="digits", validation_size=500), model=Network(name="small"), schedule=SCHEDULE)
FASHION = Recipe(
    data=Data(name="fashion_mnist", train_size=2000, validation_size=2000),
    model=Network(name="eight_layer"),
    compression=ChannelPruning(pruning_ratio=0.5, scope="uniform"),
    schedule=SCHEDULE,
)
BATCH = 128


def rows(recipe: Recipe) -> list[str]:
    """Train a base, the recipe from it in floating point and at 8 bits, and measure both files."""
    splits, cpu = load_splits(recipe.data), torch.device("cpu")
    ordinary = recipe.model_copy(update={"compression": NoCompression()})
    base = run(ordinary, QUICK, splits, cpu).trained()
    images, name = splits.validation.images, f"{recipe.data.name} {recipe.model.name}"
    if not isinstance(recipe.compression, NoCompression):
        name += " pruned"
    found = []
    for kind, quantization in (("float32", None), ("W8A8", Quantization())):
        tuned = recipe.model_copy(update={"base": ordinary, "quantization": quantization})
        model = run(tuned, QUICK, splits, cpu, base).model
        content = to_onnx(model, images.shape[1:], Compressors(tuned.methods, seed=tuned.seed))
        deployed = OnnxModel(content, threads=1)
        one, batch = deployed.latency(images[:1], calls=500), deployed.latency(images[:BATCH], calls=50)
        floats = agreement(OnnxModel(content, threads=1, integer=False), model, images)
        accuracy = (deployed.scores(images).argmax(1) == splits.validation.labels).mean()
        found.append(
            f"{name:32s}  {kind:7s}  {len(content):>9,}  {agreement(deployed, model, images):>9.2%}  {floats:>9.2%}  "
            f"{accuracy:>8.1%}  "
            f"{one.p50:>7.3f} / {one.p95:<7.3f}  {batch.p50:>7.2f} / {batch.p95:<7.2f}"
        )
    return found


def main() -> None:
    """Print the table."""
    set_conditions(1)
    print(f"{machine()}, onnxruntime {onnxruntime.__version__}")
    print(f"{SCHEDULE.epochs} epochs, seed {DIGITS.seed}, one thread; latency in ms, p50 / p95\n")
    print(
        f"{'network':32s}  {'file':7s}  {'bytes':>9}  {'agreement':>9}  {'in floats':>9}  {'accuracy':>8}  "
        f"{'one image':^17}  {f'{BATCH} images':^17}"
    )
    for recipe in (DIGITS, FASHION) if DEBIAN.exists() else (DIGITS,):
        for row in rows(recipe):
            print(row, flush=True)


if __name__ == "__main__":
    main()
