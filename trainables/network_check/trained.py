"""Checks that each attack can take a step, and that each way of training runs and can be taken up again."""

from torch import Generator, Tensor, nn

from trainables.attacks.attack import perturb
from trainables.attacks.config import Perturbation
from trainables.attacks.registry import attack_of
from trainables.checkpoints.tensors import unpack_progress
from trainables.compute.ledger import Ledger
from trainables.network_check.error_words import in_words
from trainables.network_check.scores import NO_TRY
from trainables.recipe.recipe import Recipe
from trainables.training.initial_network import InitialNetwork
from trainables.training.train_state import TrainState


def check_attack(perturbation: Perturbation, model: nn.Module, x: Tensor, y: Tensor, where: str) -> None:
    """Lets an attack perturb a few images; an attack of several steps takes one.

    Args:
        perturbation: the attack.
        model: the network; one whose buffers may change, since an attack that is not sound runs in train mode.
        x: images (n, channels, height, width) in [0, 1].
        y: labels (n,).
        where: the study's key that holds the attack, for messages.

    Raises:
        InvalidInput: the attack fails, or does not keep to what it declares.
    """
    generator = Generator(x.device).manual_seed(0)
    with in_words(f"{where}: {perturbation.words()} fails on the network", NO_TRY):
        perturb(attack_of(_one_step(perturbation)), model.train(), x, y, generator)


def check_training(recipe: Recipe, model: nn.Module, x: Tensor, y: Tensor, where: str) -> None:
    """Trains a network for an epoch of one batch as a recipe says, then saves the training and loads it again.

    Args:
        recipe: the recipe; its base and its teacher are left out, and its attack takes one step.
        model: a newly built network, which is changed.
        x: images (n, channels, height, width) in [0, 1] on the CPU.
        y: their labels (n,).
        where: what of the study is trained so, for messages.

    Raises:
        InvalidInput: training fails, or cannot be saved or taken up again.
    """
    alone = {"base": None, "weights": None, "distillation": None, "perturbation": _one_step(recipe.perturbation)}
    epochs = max(recipe.schedule.epochs, recipe.compressed_from)
    schedule = recipe.schedule.model_copy(update={"batch_size": len(x), "epochs": epochs})
    trained = recipe.model_copy(update={**alone, "schedule": schedule})
    with in_words(f"{where}: training fails", NO_TRY):
        state = TrainState(trained, InitialNetwork(model, 0.0), (x, y), Ledger())
        state.train_epoch(1, Ledger())
    with in_words(f"{where}: training cannot be saved and taken up again", NO_TRY):
        progress = state.files()["optimizer.safetensors"]
        unpack_progress(progress, state.model, state.optimizer, Generator())


def _one_step(perturbation: Perturbation) -> Perturbation:
    """Returns the same perturbation with one step where it has several."""
    several = "steps" in type(perturbation).model_fields
    return perturbation.model_copy(update={"steps": 1}) if several else perturbation
