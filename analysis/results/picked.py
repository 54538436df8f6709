"""One finished recipe of a run, chosen from Python: its numbers, its network, and the images that it was scored on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analysis.evidence.comparisons import Confirmed
from analysis.export.recipes import render
from analysis.run.summary import summary
from analysis.run.trials import Run, Trial
from analysis.run.users_parts import DATA
from trainables.errors import InvalidInput
from trainables.user_modules import forget_changed

if TYPE_CHECKING:  # they need PyTorch, without which numbers can be read
    from torch import Tensor, nn

    from trainables.data.splits import Splits
    from trainables.recipe.recipe import Recipe


@dataclass(frozen=True, eq=False, repr=False)
class Picked:
    """One finished recipe of a run."""

    _run: Run
    _trial: Trial
    _confirmed: Mapping[str, Confirmed]

    @property
    def id(self) -> str:
        """Its id, as it stands in the tables, and as `temper export --pick` takes it."""
        return self._trial.id

    @property
    def name(self) -> str | None:
        """Name of a base or baseline; None for a proposal."""
        return self._trial.name

    @property
    def recipe(self) -> dict[str, Any]:
        """The recipe as plain data, as recipe.json holds it."""
        return dict(self._trial.recipe)

    @property
    def metrics(self) -> dict[str, float]:
        """Its final numbers by name: accuracies 0–1, FLOPs, MACs, parameters, bytes, seconds."""
        return dict(self._trial.metrics)

    @property
    def yaml(self) -> str:
        """What `temper export` prints: recipe, numbers and conditions, which `temper reproduce` trains again."""
        return render([self._trial], self._run, "yaml", self._confirmed)

    def model(self, *, force: bool = False) -> "nn.Module":
        """Return its network with the trained weights, on the CPU and in eval mode.

        It takes images (batch, channels, height, width) in [0, 1] and returns logits (batch, classes); pixels are
        normalized inside. A quantized recipe's network computes with rounded weights and activations.

        Args:
            force: rebuild it even if the data have changed, by whose pixels its input is normalized.

        Raises:
            InvalidInput: its checkpoint is gone, data have changed or are missing, or a module of the user's is not
                found.
        """
        from analysis.export.networks import network_of

        recipe, splits = self._prepared(force)
        return network_of(self._run, self._trial, recipe, splits)

    def validation(self, *, force: bool = False) -> "tuple[Tensor, Tensor]":
        """Return what it was scored on: images (n, channels, height, width) in [0, 1], and labels (n,).

        Args:
            force: as for `model`.

        Raises:
            InvalidInput: as for `model`.
        """
        import torch

        _, splits = self._prepared(force)
        return splits.validation.tensors(torch.device("cpu"))

    def _prepared(self, force: bool) -> "tuple[Recipe, Splits]":
        from analysis.export.networks import recipe_of
        from analysis.export.study_folder import require_modules
        from trainables.data.splits import load_splits

        forget_changed()
        recipe = recipe_of(self._run, self._trial)
        require_modules(self._run.folder, recipe, print)
        splits = load_splits(recipe.data)
        if not force and splits.fingerprint() != self._run.info.get("fingerprint", {}).get(DATA):
            raise InvalidInput(
                f"{self._run.folder}: data have changed since it began; force=True rebuilds the network all the same"
            )
        return recipe, splits

    def __repr__(self) -> str:
        """Return its name or id, what it is in words, and its two chief numbers."""
        return (
            f"{self.name or self.id[:8]}: {summary(self._trial.recipe)}: "
            f"{self._trial.metrics['robust_accuracy']:.3f} robust, {self._trial.metrics['clean_accuracy']:.3f} clean"
        )
