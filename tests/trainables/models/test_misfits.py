"""What is said of a network that gives other scores than one for each class."""

import pytest
import torch

from trainables.models.misfits import precision_advice, scores_advice


@pytest.mark.parametrize(
    ("scores", "classes", "said"),
    [
        (
            [],
            2,
            "it gives a list, expected a tensor of shape (1, 2) for one image, by itself, as the first of a tuple, "
            "list or dict, or by the name of logits",
        ),
        (torch.zeros(1), 2, "it gives (1,) for one image, expected (1, 2)"),
        (
            torch.zeros(1, 1),
            2,
            "it gives (1, 1) for one image, expected (1, 2): of a single logit z, "
            "torch.cat([torch.zeros_like(z), z], 1)",
        ),
        (torch.zeros(1, 1000), 3, "it gives (1, 1000) for one image, expected (1, 3): its last layer needs 3 outputs"),
        (
            torch.zeros(1, 10),
            11,
            "it gives (1, 10) for one image, expected (1, 11): its last layer needs 11 outputs; labels that begin at 1 "
            "ask for one class too many: labels - 1",
        ),
    ],
)
def test_what_a_network_gave_is_said_with_what_to_do(scores: object, classes: int, said: str) -> None:
    assert scores_advice(scores, classes) == said


def test_scores_of_a_single_logit_are_as_likely_as_it_says() -> None:
    z = torch.tensor([[0.3], [-2.0]])
    made = torch.cat([torch.zeros_like(z), z], 1)
    assert torch.allclose(made.softmax(1)[:, 1:], z.sigmoid())


def test_weights_of_another_precision_than_images_are_named() -> None:
    assert precision_advice(torch.nn.Linear(2, 2)) == precision_advice(torch.nn.ReLU()) == ""
    assert "its weights are float16 and images" in precision_advice(torch.nn.Linear(2, 2).half())
