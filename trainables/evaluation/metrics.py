"""Lists every number that a recipe reports, and what each may be used for, in one table. Imports no torch.

The table says which numbers a study may name as objectives or in constraints, halving compares, a recording keeps,
`temper reproduce` expects to be equal, and TensorBoard draws.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Direction = Literal["max", "min"]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One number that recipes report, and what it may be used for.

    Attributes:
        name: its key among the final numbers of outcome.json, or in the rows of a history.
        unit: its unit; empty for counts and shares.
        words: its meaning, for people.
        better: its direction as an objective; None: it cannot be an objective.
        bounded: whether a constraint may name it.
        accuracy: whether it is a share of images, and so never above 1.
        final: whether every finished recipe has it among its final numbers.
        sometimes: whether only some finished recipes have it: those of one perturbation, or on one kind of device.
        each_epoch: whether it is a column of a history's rows.
        planned: column that predicts its final value from the first epoch on, so that halving can compare it; None:
            there is no such column.
        foreseen: whether it follows from a recipe before the recipe runs, so that a sampler can plan with it.
        recorded: whether a recording of learning curves keeps it.
        exact: whether `temper reproduce` expects it to be equal on the same machine.
        curve: TensorBoard's tag for its values by epoch; None: it has no curve.
    """

    name: str
    unit: str = ""
    words: str
    better: Direction | None = None
    bounded: bool = False
    accuracy: bool = False
    final: bool = False
    sometimes: bool = False
    each_epoch: bool = False
    planned: str | None = None
    foreseen: bool = False
    recorded: bool = False
    exact: bool = False
    curve: str | None = None


# The phases of the compute ledger, repeated here because this module imports no torch; a test compares the two.
_PHASES = ("base", "ancestors", "compression", "distillation", "attack", "update", "validation")
_TABLE = (
    Metric(
        name="robust_accuracy", words="share of images that are right under attack", better="max", bounded=True,
        accuracy=True, final=True, each_epoch=True, recorded=True, exact=True, curve="validation/robust_accuracy",
    ),
    Metric(
        name="clean_accuracy", words="share of images that are right as they are", better="max", bounded=True,
        accuracy=True, final=True, each_epoch=True, recorded=True, exact=True, curve="validation/clean_accuracy",
    ),
    Metric(
        name="train_flops", unit="FLOPs", words="marginal compute: training without ordinary pretraining", better="min",
        bounded=True, final=True, each_epoch=True, planned="planned_train_flops", foreseen=True, recorded=True,
        exact=True, curve="compute/train_flops",
    ),
    Metric(
        name="end_to_end_flops", unit="FLOPs", words="end-to-end compute: training with pretraining", better="min",
        bounded=True, final=True, each_epoch=True, planned="planned_end_to_end_flops", foreseen=True, recorded=True,
        exact=True, curve="compute/end_to_end_flops",
    ),
    Metric(
        name="inference_macs", words="multiply-accumulates of one image's forward pass", better="min", bounded=True,
        final=True, foreseen=True, recorded=True, exact=True,
    ),
    Metric(
        name="inference_bitops", words="the same, each times the bits of its weight and of its input", better="min",
        bounded=True, final=True, foreseen=True, recorded=True,
    ),
    Metric(
        name="model_bytes", unit="B", words="stored size", better="min", bounded=True, final=True, foreseen=True,
        recorded=True,
    ),
    Metric(
        name="device_seconds", unit="s", words="time on its device", better="min", bounded=True, final=True,
        recorded=True,
    ),
    Metric(
        name="energy_joules", unit="J", words="energy of its GPU, by NVML", better="min", bounded=True, sometimes=True
    ),
    Metric(
        name="mac_ratio", words="multiply-accumulates, as a share of the dense network's", better="min", bounded=True,
        final=True, foreseen=True, recorded=True,
    ),
    Metric(
        name="parameters", words="numbers that are trained", better="min", bounded=True, final=True, foreseen=True,
        recorded=True, exact=True,
    ),
    Metric(name="robust_accuracy_stderr", words="standard error of robust accuracy over the images", final=True),
    Metric(name="chance_accuracy", words="share of the scored images that are of the largest class", final=True),
    Metric(
        name="chance_accuracy_stderr", words="standard error of that share, its sampling error", final=True,
    ),
    Metric(name="answers_one_class", words="1 if every image as it is got the same label, else 0", final=True),
    Metric(
        name="zero_gradient_share", words="share of the attack's gradients that are zero, so that it could not move",
        final=True,
    ),
    Metric(name="nonfinite_gradients", words="number of the attack's gradients with a NaN or infinity", final=True),
    Metric(
        name="robust_accuracy_as_published", words="under the attack of the study that is repeated", sometimes=True
    ),
    Metric(name="spent_flops", unit="FLOPs", words="marginal compute, epochs that were lost included", sometimes=True),
    *(
        Metric(
            name=f"flops_{one}", unit="FLOPs", words=f"compute of the phase {one}", final=True,
            each_epoch=one == "ancestors",
        )
        for one in _PHASES
    ),
    Metric(name="epochs", words="epochs of its schedule", final=True, recorded=True),
    Metric(name="kept_epoch", words="epoch whose weights are kept", final=True, recorded=True),
    Metric(name="micro_batches", words="parts of a batch that were trained in turn", final=True, each_epoch=True),
    Metric(name="epoch", words="number of the epoch, from 1", each_epoch=True),
    Metric(name="loss", words="mean loss of the epoch", each_epoch=True, curve="train/loss"),
    Metric(name="learning_rate", words="at the epoch's last step", each_epoch=True, curve="train/learning_rate"),
    Metric(
        name="train_accuracy", words="share of perturbed training images that were right", each_epoch=True,
        curve="train/accuracy",
    ),
    Metric(
        name="planned_train_flops", unit="FLOPs", words="marginal compute after the whole schedule", each_epoch=True,
        recorded=True,
    ),
    Metric(
        name="planned_end_to_end_flops", unit="FLOPs", words="end-to-end compute after the whole schedule",
        each_epoch=True, recorded=True,
    ),
    Metric(name="epoch_flops", unit="FLOPs", words="compute of this epoch, scoring included", each_epoch=True),
    Metric(name="seconds", unit="s", words="time of this epoch", each_epoch=True, recorded=True),
)  # fmt: skip

METRICS: Mapping[str, Metric] = MappingProxyType({one.name: one for one in _TABLE})
OBJECTIVES: Mapping[str, Direction] = MappingProxyType({one.name: one.better for one in _TABLE if one.better})
FORESEEN = tuple(one.name for one in _TABLE if one.foreseen)
COMPUTE = tuple(one.name for one in _TABLE if one.planned is not None)  # by which a study may be judged


def own_flops(numbers: Mapping[str, float | None], of: str = "train_flops") -> float:
    """Returns what a recipe has spent itself, in FLOPs: its marginal compute without that of its bases and teachers.

    Args:
        numbers: its final numbers, or a row of its history. Rows of earlier versions do not tell what was inherited,
            which is taken for nothing then.
        of: the number to take it from: `train_flops`, or `planned_train_flops`; 0 where it is missing.
    """
    return max(0.0, (numbers.get(of) or 0.0) - (numbers.get("flops_ancestors") or 0.0))
