"""The order of the classes that are aimed at: by their distance, which a linear network has in closed form."""

import pytest
import torch

from tests.support.linear_network import LinearNetwork, known
from trainables.attacks.config import Norm
from trainables.ensemble.targets import nearest_classes


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_nearest_class_comes_first(norm: Norm) -> None:
    given = known(norm)
    ranked = nearest_classes(given.model, given.images, given.labels, 4, norm)
    weights, scores = given.model.weights.detach(), given.model(given.images).detach()
    for row in range(len(given.labels)):
        label = given.labels[row]
        apart = weights[label] - weights[ranked[row]]
        dual = apart.abs().sum(1) if norm == "linf" else apart.norm(dim=1)
        distances = (scores[row, label] - scores[row, ranked[row]]) / dual
        assert sorted(distances.tolist()) == distances.tolist()
        assert float(distances[0]) == pytest.approx(float(given.distances[row]), rel=1e-4)
        assert sorted([*ranked[row].tolist(), int(label)]) == [0, 1, 2, 3, 4]


def test_a_class_that_scores_less_but_is_nearer_comes_first() -> None:
    # Class 1 lags by 1 and moves by 1 a pixel; class 2 lags by 2 and moves by 10.
    model = LinearNetwork(torch.tensor([[0.0, 0.0], [-1.0, -1.0], [-10.0, 9.0]]))
    image = torch.tensor([[[[1.0, 1.0]]]])
    assert model(image).tolist() == [[0.0, -1.0, -0.5]]
    image = torch.tensor([[[[0.9, 0.85]]]])  # scores 0, -.75, -.85
    assert model(image)[0].argsort(descending=True).tolist() == [0, 1, 2]
    assert nearest_classes(model, image, torch.tensor([0]), 2, "linf").tolist() == [[2, 1]]


def test_two_classes_have_one_other() -> None:
    model = LinearNetwork(torch.randn(2, 4))
    labels = torch.tensor([0, 1])
    assert nearest_classes(model, torch.rand(2, 1, 2, 2), labels, 9, "linf").tolist() == [[1], [0]]
