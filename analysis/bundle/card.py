"""Writes the model card of a bundle: what the network is, its numbers, how far they were proven, and how to use it."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from importlib.resources import files

from jinja2 import Environment
from scipy.stats import binomtest

from analysis.evidence.comparisons import Confirmed
from analysis.evidence.words import in_words
from analysis.pareto.frontier import metric
from analysis.run.summary import summary
from analysis.run.trials import Run, Trial
from trainables.data.splits import Splits
from trainables.evaluation.config import ThreatModel, attack_words, threat_words
from trainables.value_forms import counted

COUNTED = {
    "robust_accuracy": ("robust accuracy, found: validation split, {attack}", "{:.3f}"),
    "clean_accuracy": ("clean accuracy, found: validation split", "{:.3f}"),
    "train_flops": ("marginal training compute, FLOPs", "{:.3g}"),
    "end_to_end_flops": ("end-to-end training compute, FLOPs", "{:.3g}"),
    "inference_macs": ("multiply-accumulates of one image", "{:,.0f}"),
    "parameters": ("parameters", "{:,.0f}"),
}


def card(
    run: Run,
    trial: Trial,
    confirmed: Mapping[str, Confirmed],
    splits: Splits,
    labels: Sequence[str],
    sizes: Sequence[tuple[str, str, str]],
    shown: Sequence[tuple[str, str, str]],
    no_program: str,
) -> str:
    """Return the text of README.md, with a model hub's head.

    Args:
        run: the run.
        trial: the trial whose network it is.
        confirmed: what the strongest confirmations found, by the trials' ids.
        splits: its data.
        labels: names of the classes.
        sizes: rows of the table of numbers: what, of this network, of the reference.
        shown: the files: name, what it is, and how it was checked.
        no_program: why there is no model.pt2; empty where there is one.
    """
    info = run.info
    images = splits.validation.images
    scored = min((info.get("evaluation") or {}).get("examples") or len(images), len(images))
    reference = run.reference if run.reference is not None and run.reference.id != trial.id else None
    proven = confirmed.get(trial.id)
    attack = attack_words(info["evaluation"])
    rows = [
        {
            "name": name.format(attack=attack),
            "here": _number(trial, key, form, scored),
            "there": _number(reference, key, form, scored),
        }
        for key, (name, form) in COUNTED.items()
    ]
    further = [*_proven(proven, confirmed.get(reference.id) if reference is not None else None), *sizes]
    rows += [{"name": name, "here": here, "there": there} for name, here, there in further]
    template = (files("analysis.bundle") / "assets" / "card.md.j2").read_text(encoding="utf-8")
    return (
        Environment(autoescape=False, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)  # Markdown
        .from_string(template)
        .render(
            name=f"{info['study']}, {trial.name or f'recipe {trial.id[:8]}'}",
            what=summary(trial.recipe),
            threat=threat_words(ThreatModel.model_validate(info["threat_model"])),
            version=version("temper-search"),
            standing=_standing(proven),
            reference=reference,
            rows=rows,
            attack=f"Found numbers are under {attack}, on the {scored:,} validation "
            "images that the search chose by. Behind an accuracy stands its 95% interval: of what was found over the "
            "images (Wilson's), of what was confirmed over seeds and images.",
            data=", ".join(f"{key} {value}" for key, value in trial.recipe["data"].items() if value is not None),
            shape=tuple(images.shape[1:]),
            channels=images.shape[1],
            height=images.shape[2],
            width=images.shape[3],
            classes=len(labels),
            program=not no_program,
            no_program=no_program,
            files=[{"name": name, "what": what, "checked": checked} for name, what, checked in shown],
            limits=_limits(trial, program=not no_program),
        )
    )


def _number(trial: Trial | None, key: str, form: str, images: int) -> str:
    if trial is None or key not in trial.metrics:
        return ""
    value = metric(trial, key)
    told = form.format(value)
    if not key.endswith("accuracy"):
        return told
    interval = binomtest(round(value * images), images).proportion_ci(method="wilson")
    return f"{told} ({interval.low:.3f} to {interval.high:.3f})"


def _proven(here: Confirmed | None, there: Confirmed | None) -> list[tuple[str, str, str]]:
    """Return rows of what a confirmation found, in which the reference has its place if it is of the same one."""
    if here is None:
        return []
    sides = (here, there if there is not None and there.number == here.number else None)
    whole = [f"{one.robust_accuracy:.3f} ({one.low:.3f} to {one.high:.3f})" if one else "" for one in sides]
    seeds = f"confirmed: test split, mean of {counted(here.seeds, 'fresh seed')}"
    rows = [(f"robust accuracy, {seeds}, all attacks together", whole[0], whole[1])]
    for attack in here.after:
        left = [f"{one.after[attack]:.3f}" if one and attack in one.after else "" for one in sides]
        rows.append((f"… what stands once {attack} has had its turn", left[0], left[1]))
    clean = [f"{one.clean:.3f}" if one else "" for one in sides]
    return [*rows, (f"clean accuracy, {seeds}", clean[0], clean[1])]


def _standing(proven: Confirmed | None) -> str:
    if proven is None:
        return (
            "Found, not confirmed: its robust accuracy is of one seed, on the images that the search chose by, under "
            "the search's own attack. Expect less under a stronger one."
        )
    return f"Confirmed on test images under the ensemble of attacks, as a recipe: {in_words(proven)}, 95% interval."


def _limits(trial: Trial, *, program: bool) -> str:
    if not trial.recipe.get("quantization"):
        return ""
    gradients = ", which `model.pt2` has too" if program else ""
    return (
        "Its robustness was measured on the fake-quantized network in PyTorch, through straight-through "
        f"gradients{gradients}; the integers of `model.onnx` compute nearly the same."
    )
