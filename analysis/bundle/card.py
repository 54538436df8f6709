"""Writes the model card of a bundle: what the network is, its numbers, how far they were proven, and how to use it."""

from collections.abc import Sequence
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

COUNTED = {
    "robust_accuracy": ("robust accuracy, validation split, the search's attack", "{:.3f}"),
    "clean_accuracy": ("clean accuracy, validation split", "{:.3f}"),
    "train_flops": ("marginal training compute, FLOPs", "{:.3g}"),
    "end_to_end_flops": ("end-to-end training compute, FLOPs", "{:.3g}"),
    "inference_macs": ("multiply-accumulates of one image", "{:,.0f}"),
    "parameters": ("parameters", "{:,.0f}"),
}


def card(
    run: Run,
    trial: Trial,
    proven: Confirmed | None,
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
        proven: what the strongest confirmation found of it; None: it was not confirmed.
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
    rows = [
        {
            "name": name,
            "here": _number(trial, key, form, scored),
            "there": _number(reference, key, form, scored),
        }
        for key, (name, form) in COUNTED.items()
    ]
    rows += [{"name": name, "here": here, "there": there} for name, here, there in sizes]
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
            attack=f"Found numbers are under {attack_words(info['evaluation'])}, on the {scored:,} validation "
            "images that the search chose by. Behind an accuracy stands its 95% interval over the images (Wilson's).",
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
