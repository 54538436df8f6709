"""Sums a recipe up in a few words, for tables and progress lines."""

from typing import Any

from trainables.attacks.config import recorded_words
from trainables.compression.config import Quantization, words_of
from trainables.value_forms import counted


def summary(recipe: dict[str, Any]) -> str:
    """Return a recipe in a few words, for people; settings that have their usual value are left out.

    Args:
        recipe: the recipe as plain data, as recipe.json holds it.
    """
    if recipe["weights"] and not recipe["schedule"]["epochs"]:
        return f"weights of {recipe['weights']['path']}"
    schedule = recipe["schedule"]
    parts = [words_of(recipe["compression"])]
    if recipe["quantization"]:
        parts.append(Quantization.model_validate(recipe["quantization"]).words())
    if not schedule["epochs"]:
        return " · ".join([*parts, "not fine-tuned"])
    parts.append(recorded_words(recipe["perturbation"]))
    if recipe["loop"]["kind"] == "free":
        parts.append(f"free ×{recipe['loop']['replays']}")
    loss = recipe["loss"]
    parts += {
        "cross_entropy": [f"smoothing {loss['label_smoothing']:.3g}"] if loss.get("label_smoothing") else [],
        "mixed": [f"{loss.get('clean_weight', 0):.0%} clean"],
        "trades": [f"TRADES β {loss.get('beta', 0):g}"],
    }[loss["kind"]]
    if soft := recipe.get("distillation"):  # runs older than distillation have no such key
        teacher = f" from ({summary(soft['teacher'])})" if soft["teacher"] else ""
        parts.append(f"distilled {soft['weight']:.0%} T {soft['temperature']:.3g}{teacher}")
    cut = schedule.get("last_epoch_steps")  # runs of before 0.3 have no such key
    parts += [counted(schedule["epochs"], "epoch") + (f" (the last: {counted(cut, 'step')})" if cut else "")]
    parts += [f"lr {schedule['learning_rate']:.2g}"]
    parts += [schedule["shape"]] if schedule["shape"] != "one_cycle" else []
    parts += ["AdamW"] if schedule["optimizer"] == "adamw" else []
    parts += [f"momentum {schedule['momentum']:.3g}"] if schedule["momentum"] != 0.9 else []
    parts += [f"decay {schedule['weight_decay']:.2g}"] if schedule["weight_decay"] != 5e-4 else []
    parts += [f"averaged {schedule['averaging']:g}"] if schedule["averaging"] else []
    return " · ".join(parts + (["from scratch"] if recipe["base"] is None else []))
