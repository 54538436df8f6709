"""Looks at a network, its data and the machine, and drafts a study of the right size for them."""

import math
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from cluster.connection.session import Target, session
from cluster.placement.capacity import nodes
from search.drafting.contents import Contents
from search.drafting.data import chosen_data
from search.drafting.sizes import PLANNED, fitting
from search.preflight.estimate import Slots
from search.preflight.network_check import check_studys_network
from search.preflight.timing import measured_slots
from search.preflight.workload import Work, workload
from search.recipes.fixed import FixedRecipes
from search.remote.user_modules import user_modules
from search.study.study import Study
from search.study.user_functions import check_user_functions
from trainables.attacks.config import Norm
from trainables.compression.compressor import Compressors
from trainables.compression.config import ChannelPruning
from trainables.config import parse, read_yaml
from trainables.data.config import Data
from trainables.data.splits import Splits
from trainables.errors import InvalidInput, typed_as
from trainables.evaluation.config import ThreatModel
from trainables.models.build import build
from trainables.models.config import Network
from trainables.models.weights import sealed
from trainables.value_forms import counted

MOST_PRUNED = (0.8, 0.5)  # shares of channels that are tried, in this order
GREY_EPSILON, COLOUR_EPSILON, L2_EPSILON = 0.1, 8 / 255, 0.5  # usual in the field
TIMED = 6.0  # seconds for which each of two recipes is timed
IMAGES = 4  # on which pruning is tried
WIDTH = 116  # of the comment's lines
TYPED = {  # what a user typed, by how problems with it begin
    "--model: name": "--model",
    "model.name": "--model",
    "data.path": "--data",
    "data.name": "--data",
    "data.image_size": "--image-size",
    "--data: image_size": "--image-size",
    "pretrained.path": "--pretrained",
    "threat_model: epsilon": "--epsilon",
}


@dataclass(frozen=True)
class Wish:
    """What a study is drafted for.

    Attributes:
        name: name of the study.
        model: the network, as a study names it.
        data: a known data set, `module:function`, or an image folder.
        pretrained: file of trained weights; None: an ordinary base is trained.
        norm: norm of the threat model.
        epsilon: its radius; None: what is usual for such images.
        image_size: height and width of an image folder's images; None: as `chosen_data` chooses.
        hours: hours that the search may take.
    """

    name: str
    model: str
    data: str
    pretrained: str | None = None
    norm: Norm = "linf"
    epsilon: float | None = None
    image_size: int | None = None
    hours: float = 1.0


@dataclass(frozen=True)
class Look:
    """What was seen of a wish's data and network.

    Attributes:
        contents: a study of the size `PLANNED`, which works.
        study: the same, validated.
        splits: its images.
        found: what was found, for people.
    """

    contents: Contents
    study: Study
    splits: Splits
    found: tuple[str, ...]


def look(wish: Wish, say: Callable[[str], object]) -> Look:
    """Read the data, and try on a few images all that a study would do with the network.

    Args:
        wish: what the study is for.
        say: prints a line.

    Raises:
        InvalidInput: the data or the network cannot be used.
    """
    with typed_as(TYPED):
        return _look(wish, say)


def _look(wish: Wish, say: Callable[[str], object]) -> Look:
    if wish.epsilon is not None:
        parse(ThreatModel, {"norm": wish.norm, "epsilon": wish.epsilon}, where="threat_model")
    network = parse(Network, {"name": wish.model}, where="--model")
    data, splits = chosen_data(wish.data, wish.image_size)
    say(f"data       {_images(splits)}")
    guess = _first_guess(wish, network, data, splits)
    problem = ""
    for share in MOST_PRUNED:
        contents = replace(guess, most_pruned=share)
        study = _study(contents)
        try:
            found = check_studys_network(study, splits, _nothing)
        except InvalidInput as error:
            problem = error.problems[0]
            continue
        if _is_pruned(study.model, contents.most_pruned, splits):
            return Look(contents, study, splits, found)
        return _unpruned(guess, splits, "no channel of it can be removed, so the study searches over bits")
    return _unpruned(guess, splits, f"its channels are not removed, as that does not work: {problem}")


def draft(wish: Wish, target: Target, say: Callable[[str], object]) -> str:
    """Draft a study that a cluster, or this machine, searches in the hours that it may take.

    The network is tried on a few images with all that the study will do with it; then training is timed for some
    seconds in the slots that the search will have.

    Args:
        wish: what the study is for.
        target: where it will be searched.
        say: prints a line.

    Returns:
        The study as commented YAML.

    Raises:
        InvalidInput: the data or the network cannot be used, or the cluster cannot be joined.
    """
    seen = look(wish, say)
    contents, study, splits = seen.contents, seen.study, seen.splits
    for found in seen.found:
        say(f"network    {found}")
    with session(target, beside=user_modules(study), searches=False):
        if any(node.resources.get("GPU") for node in nodes()):
            contents = replace(contents, gpu=True)
            study = _study(contents)
        works = workload(study, FixedRecipes.of(study), splits)
        measured = measured_slots(study, splits, works, TIMED)
    for slots in measured:
        say(f"machine    {_where([slots])}, {slots.fixed.flops_per_second / 1e9:.3g} GFLOP/s each")
    size, expected = fitting(works, measured, len(splits.train), wish.hours)
    images = size.images(len(splits.train)) or len(splits.train)
    takes = f"about {expected:.2g} h" if expected >= 0.1 else f"about {expected * 3600:.0f} s"
    trained = f"{counted(images, 'image', ',')}, {counted(size.epochs, 'epoch')} of full training"
    say(f"size       {trained}, {counted(size.trials, 'proposal')}: {takes}")
    if expected > wish.hours:
        say(
            f"too long   that is more than --hours {wish.hours:g}, and less would compare nothing: allow more, take "
            "smaller images or a smaller network, or join a cluster with --address"
        )
    notes = [
        *seen.found,
        *_steps(works, measured[0], study.data.train_size or len(splits.train)),
        f"Expected to take {takes} of the {wish.hours:g} h that it may, on {_where(measured)}.",
    ]
    final = replace(contents, size=size, notes=_wrapped(notes))
    _study(final)
    return final.text()


def _images(splits: Splits) -> str:
    shape = " × ".join(str(size) for size in splits.train.images.shape[1:])
    count, held_out = len(splits.train), len(splits.validation)
    return f"{count:,} training images of {shape} in {splits.classes} classes, and {held_out:,} held out"


def _first_guess(wish: Wish, network: Network, data: Data, splits: Splits) -> Contents:
    shape = splits.train.images.shape[1:]
    usual = L2_EPSILON if wish.norm == "l2" else GREY_EPSILON if shape[0] == 1 else COLOUR_EPSILON
    return Contents(
        name=wish.name,
        data=data,
        model=wish.model,
        pretrained=wish.pretrained,
        norm=wish.norm,
        epsilon=usual if wish.epsilon is None else wish.epsilon,
        pruned=True,
        most_pruned=MOST_PRUNED[0],
        has_attention=_suits_adamw(build(network, shape, classes=splits.classes)),
        gpu=False,
        available=len(splits.train),
        size=PLANNED,
        hours=wish.hours,
    )


def _suits_adamw(model: nn.Module) -> bool:
    """Return whether a network is normalized by layer rather than by batch, as transformers are."""
    by_layer = sum(isinstance(layer, nn.LayerNorm | nn.MultiheadAttention) for layer in model.modules())
    return by_layer > sum(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in model.modules())


def _is_pruned(network: Network, share: float, splits: Splits) -> bool:
    """Return whether pruning, which has been found to work, removes any channel of the network at all."""
    shape = splits.train.images.shape[1:]
    model = build(network, shape, classes=splits.classes)
    before = sum(one.numel() for one in model.parameters())
    x, y = (one[:IMAGES].clone() for one in splits.train.tensors(torch.device("cpu")))
    Compressors((ChannelPruning(pruning_ratio=share),), seed=0).step(1, model, x, y)
    return sum(one.numel() for one in model.parameters()) < before


def _unpruned(guess: Contents, splits: Splits, why: str) -> Look:
    contents = replace(guess, pruned=False)
    study = _study(contents)
    return Look(contents, study, splits, (why, *check_studys_network(study, splits, _nothing)))


def _study(contents: Contents) -> Study:
    study = parse(Study, read_yaml(contents.text(), contents.name))
    check_user_functions(study)
    if study.pretrained is None:
        return study
    return study.model_copy(update={"pretrained": sealed(study.pretrained)})


def _nothing(line: str) -> None:
    """Print nothing: what was found is told once it is known what works."""


def _where(measured: Sequence[Slots]) -> str:
    return " and ".join(f"{counted(one.count, 'slot')} on {one.device}" for one in measured)


def _steps(works: Sequence[Work], slots: Slots, images: int) -> Iterator[str]:
    """Yield what a training step of the reference and of a proposal costs, in words."""
    for work in works:
        if work.name in ("pgd_at", ""):
            batch = min(images, work.recipe.schedule.batch_size)
            steps = work.epochs * math.ceil(images / batch)
            flops, seconds = work.flops / steps, slots.training_seconds(work) / steps
            what = work.name or "a proposal, on average,"
            costs = f"{flops:.2g} FLOPs, {seconds:.2g} s in a {slots.device} slot"
            yield f"A step of {what} on {counted(batch, 'image')} costs {costs}."


def _wrapped(notes: Sequence[str]) -> list[str]:
    return [line for note in notes for line in textwrap.wrap(note, WIDTH, break_on_hyphens=False)]
