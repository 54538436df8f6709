"""Takes generated networks through all that a search does with one; `make fuzz` runs 500 and can be resumed.

Each is planned, trained for an epoch, pruned and quantized and trained again from there, rebuilt from its file to equal
scores, exported, and attacked. It ends as `done`, as `refused` with a message of Temper's, or as a `defect`: any other
exception, a plan that is not the ledger, or scores that differ. One line of JSON a network is appended to a file.
"""

import argparse
import json
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_tensors

from trainables.attacks.config import PGD
from trainables.checkpoints.tensors import pack_model
from trainables.checkpoints.trained_model import TrainedModel, rebuild
from trainables.compression.compressor import Compressors
from trainables.compression.config import ChannelPruning, Quantization
from trainables.data.config import Data
from trainables.data.splits import Splits, load_splits
from trainables.deployment.onnx_export import to_onnx
from trainables.deployment.onnx_runtime import OnnxModel
from trainables.errors import InvalidInput
from trainables.estimation.flops_planner import FlopsPlanner
from trainables.evaluation.config import ScoringProtocol
from trainables.execution.pipeline import Pipeline, set_conditions
from trainables.models.build import frozen
from trainables.models.config import Network
from trainables.recipe.recipe import Recipe
from trainables.recipe.schedule import Schedule

DATA = Data(name="digits", train_size=66, validation_size=20)
QUICK = ScoringProtocol(epsilon=0.1, steps=1, examples=20, progress_steps=1, progress_examples=10)
CPU = torch.device("cpu")


class Defect(Exception):
    """Raised for a difference that nobody would have noticed."""


def recipes(number: int) -> tuple[Recipe, Recipe]:
    """The ordinary base of a network, and its pruned, quantized, adversarially trained descendant."""
    draw = torch.Generator().manual_seed(number)
    pick = int(torch.randint(1 << 16, (1,), generator=draw))
    base = Recipe(
        data=DATA,
        model=Network(name=f"tests.fuzz.random_networks:network_{number}"),
        schedule=Schedule(epochs=1, learning_rate=0.01, batch_size=32),
    )
    pruning = ChannelPruning(
        pruning_ratio=(0.3, 0.5, 0.8)[pick % 3],
        importance=("l1", "l2", "taylor", "random")[pick // 3 % 4],
        scope=("global", "uniform")[pick // 12 % 2],
        taylor_examples=8,
    )
    tuned = base.model_copy(
        update={
            "base": base,
            "compression": pruning,
            "quantization": Quantization(calibration_examples=8) if pick // 24 % 3 else None,
            "perturbation": PGD(epsilon=0.1, steps=1),
        }
    )
    return base, tuned


def take_through(number: int, splits: Splits) -> None:
    """Runs all steps on a network. Raises InvalidInput where it is refused, and anything else for a defect."""
    base, tuned = recipes(number)
    trained: dict[str, TrainedModel] = {}
    for recipe in (base, tuned):
        plan = FlopsPlanner(splits, lambda one: trained[one.id]).plan(recipe)
        pipeline = Pipeline(recipe, QUICK, splits, trained.get(base.id), CPU)
        pipeline.step()
        if pipeline.ledger.as_dict() | {"validation": 0.0} != plan.as_dict():
            raise Defect(f"planned {plan}, charged {pipeline.ledger}")
        trained[recipe.id] = pipeline.trained()
    model, images = pipeline.deployed, splits.validation.images
    again = rebuild(tuned, splits, pack_model(model))
    x = torch.from_numpy(images)
    with frozen(model), frozen(again), torch.no_grad():
        wanted, found = model(x), again(x)
    if not torch.equal(wanted, found):
        raise Defect("other scores after reloading")
    if load_tensors(pack_model(again)).keys() != load_tensors(pack_model(model)).keys():
        raise Defect("other tensors after reloading")
    content = to_onnx(model, images.shape[1:], Compressors(tuned.methods, seed=tuned.seed))
    for count in (1, 3):
        scores = torch.from_numpy(OnnxModel(content, threads=1, integer=False).scores(images[:count]))
        if (scores - wanted[:count]).abs().max() > 0.05 * wanted.abs().max() + 1e-4:
            raise Defect("other scores in the exported file")


def outcome(number: int, splits: Splits) -> dict[str, Any]:
    """The end of one network: its number, `done`, `refused` or `defect`, and why."""
    started, reason = time.perf_counter(), ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            take_through(number, splits)
        end = "done"
    except InvalidInput as error:
        end, reason = "refused", str(error)
    except Exception as error:
        end, reason = "defect", f"{type(error).__name__}: {error}\n{traceback.format_exc(limit=-4)}"
    return {"number": number, "end": end, "reason": reason, "seconds": round(time.perf_counter() - started, 1)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--log", type=Path, default=Path("build/fuzz/networks.jsonl"))
    given = parser.parse_args()
    set_conditions(1)
    given.log.parent.mkdir(parents=True, exist_ok=True)
    lines = given.log.read_text().splitlines() if given.log.exists() else []
    before = {one["number"]: one for one in map(json.loads, lines)}
    splits = load_splits(DATA)
    for number in range(given.first, given.first + given.count):
        if number not in before:
            before[number] = outcome(number, splits)
            with given.log.open("a") as log:
                log.write(json.dumps(before[number]) + "\n")
    wanted = [before[number] for number in range(given.first, given.first + given.count)]
    ends = [one["end"] for one in wanted]
    print({end: ends.count(end) for end in ("done", "refused", "defect")})
    for one in wanted:
        if one["end"] != "done":
            print(f"{one['number']} {one['end']}: {one['reason']}")
    return 1 if "defect" in ends else 0


if __name__ == "__main__":
    raise SystemExit(main())
