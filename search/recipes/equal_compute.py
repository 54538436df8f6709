"""Cuts or stretches a schedule to a given compute, so that a recipe can be compared with another one at equal cost."""

from collections.abc import Callable

from trainables.compute.ledger import Ledger
from trainables.errors import InvalidInput
from trainables.recipe.recipe import Recipe
from trainables.training.batches import batch_sizes

MOST_EPOCHS = 100_000


def at_compute(recipe: Recipe, flops: float, plan: Callable[[Recipe], Ledger], examples: int) -> Recipe:
    """Return the recipe with as long a schedule as a compute allows; its last epoch may end early.

    The rate's curve, the warm-up of the attack and gradual compression follow the new length. Batches are the smallest
    step, so the result costs the whole compute but for less than one batch.

    Args:
        recipe: the recipe, whose own length makes no difference.
        flops: end-to-end compute that it may spend, FLOPs.
        plan: returns the ledger of a recipe without running it.
        examples: number of training images.

    Raises:
        InvalidInput: a single batch costs more, or the schedule would be longer than anyone trains.
    """
    a_epoch = len(batch_sizes(examples, recipe.schedule.batch_size))

    def of_steps(steps: int) -> Recipe:
        epochs, left = divmod(steps, a_epoch)
        length = {"epochs": epochs + (left > 0), "last_epoch_steps": left or None}
        return recipe.model_copy(update={"schedule": recipe.schedule.model_copy(update=length)})

    def affords(steps: int) -> bool:
        return plan(of_steps(steps)).end_to_end <= flops

    if not affords(1):
        raise InvalidInput(f"{flops:.3g} FLOPs: are not enough for one batch of {recipe.schedule.batch_size} images")
    low, high = 1, 2  # the first is affordable, the second is not, once the loop has ended
    while affords(high):
        low, high = high, 2 * high
        if high > MOST_EPOCHS * a_epoch:
            raise InvalidInput(f"{flops:.3g} FLOPs: are enough for more than {MOST_EPOCHS:,} epochs")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if affords(middle) else (low, middle)
    return of_steps(low)
