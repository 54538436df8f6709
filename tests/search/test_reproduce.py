"""How far the numbers of a recipe that is trained again elsewhere may lie from the exported ones."""

import math
from types import SimpleNamespace

import pytest

from search import reproduce as module
from trainables.errors import TemperError
from trainables.evaluation.config import ScoringProtocol

EXPORTED = 0.5


@pytest.mark.parametrize(("examples", "scored"), [(None, 400), (100, 100), (5000, 400)])
@pytest.mark.parametrize("inside", [True, False])
def test_accuracies_may_differ_by_the_luck_of_the_images_that_were_scored(
    examples: int | None, scored: int, inside: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed = module.STANDARD_ERRORS * math.sqrt(2 * EXPORTED * (1 - EXPORTED) / scored)
    found = EXPORTED + allowed + (-0.001 if inside else 0.001)
    numbers = dict.fromkeys(module.EXACT, 1.0)
    exported = SimpleNamespace(
        environment={"machine": "another"},
        recipe=SimpleNamespace(data=None, id="id"),
        fingerprint={},
        evaluation=ScoringProtocol(epsilon=0.1, examples=examples),
        metrics={**numbers, "robust_accuracy": EXPORTED},
    )
    trained = SimpleNamespace(reason=None, metrics=lambda: {**numbers, "robust_accuracy": found})
    images = SimpleNamespace(validation=range(400), fingerprint=lambda: "data")
    for name, answer in (
        ("read_exported", exported),
        ("set_conditions", None),
        ("load_splits", images),
        ("compare", SimpleNamespace(refuse=lambda path: None)),
        ("run", trained),
    ):
        monkeypatch.setattr(module, name, lambda *_, answer=answer: answer)
    if inside:
        assert f"within {allowed:.4f}" in module.reproduce("recipe.yaml")
    else:
        with pytest.raises(TemperError, match=rf"(?s)allowed {allowed:.4f}\n.*not reproduced: robust_accuracy$"):
            module.reproduce("recipe.yaml")
