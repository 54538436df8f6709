"""Checks that a recipe's training, with its loss, loop, optimizer and precision, runs and can be taken up again."""

from torch import Tensor, nn

from trainables.compute.ledger import Ledger
from trainables.network_check.attacked import one_step
from trainables.network_check.error_words import in_words
from trainables.network_check.scores import NO_TRY
from trainables.recipe.recipe import Recipe
from trainables.training.initial_network import InitialNetwork
from trainables.training.train_state import TrainState


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
    alone = {"base": None, "weights": None, "distillation": None, "perturbation": one_step(recipe.perturbation)}
    epochs = max(recipe.schedule.epochs, recipe.compressed_from)
    schedule = recipe.schedule.model_copy(update={"batch_size": len(x), "epochs": epochs})
    trained = recipe.model_copy(update={**alone, "schedule": schedule})
    with in_words(f"{where}: training fails", NO_TRY):
        state = TrainState(trained, InitialNetwork(model, 0.0), (x, y), Ledger())
        state.train_epoch(1, Ledger())
    with in_words(f"{where}: training cannot be saved and taken up again", NO_TRY):
        state.load(state.files(), state.model)
