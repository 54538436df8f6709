"""Checks that the parts of a recipe fit each other, and describes what does not fit."""

from trainables.attacks.config import FGSM, Perturbation
from trainables.compression.config import Compression
from trainables.losses.config import CrossEntropy, Loss, SoftTerm
from trainables.recipe.schedule import Loop, Schedule
from trainables.value_forms import counted


def unfit(perturbation: Perturbation, loss: Loss, loop: Loop, soft: SoftTerm | None = None) -> list[str]:
    """Returns the problems of a perturbation, a loss, a loop and soft labels that do not fit each other."""
    problems = []
    if not perturbation.adversarial and loss.kind != "cross_entropy":
        problems.append(f"loss.kind: got {loss.kind} without a perturbation, expected cross_entropy")
    if loop.kind == "free" and perturbation.kind != "fgsm":
        problems.append(f"loop.kind: got free with perturbation {perturbation.kind}, expected perturbation fgsm")
    elif loop.kind == "free" and isinstance(perturbation, FGSM) and (perturbation.warm_up or perturbation.step_size):
        problems.append("loop.kind: got free with a warm_up or step_size, expected neither: it steps by epsilon")
    if loop.kind == "free" and loss.kind != "cross_entropy":
        problems.append(f"loop.kind: got free with loss {loss.kind}, expected loss cross_entropy")
    elif loop.kind == "free" and isinstance(loss, CrossEntropy) and loss.label_smoothing:
        problems.append("loop.kind: got free with label_smoothing, expected none: it trains on the labels as they are")
    if loop.kind == "free" and soft is not None:
        problems.append("loop.kind: got free with distillation, expected the ordinary loop")
    return problems


def unreached(compression: Compression, schedule: Schedule) -> list[str]:
    """Returns the problem of a compression that takes more steps than the schedule has epochs."""
    most = max(1, schedule.epochs)
    if compression.steps <= most:
        return []
    epochs = counted(schedule.epochs, "epoch")
    return [f"compression.steps: got {compression.steps} with {epochs}, expected at most {most}"]
