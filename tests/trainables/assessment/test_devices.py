"""The ensemble, its checks and the other conditions compute on whatever device the network lies on."""

import numpy as np
import pytest
import torch

from tests.support.linear_network import known
from trainables.assessment.evaluate_model import evaluate_model
from trainables.conditions.measurement import measure_conditions
from trainables.evaluation.config import ThreatModel

DEVICES = [torch.device("cpu"), pytest.param(torch.device("cuda"), marks=pytest.mark.gpu)]


@pytest.mark.parametrize("device", DEVICES)
def test_a_linear_network_is_as_robust_as_its_margins_say(device: torch.device) -> None:
    given, threat = known("linf", images=60), ThreatModel(epsilon=0.03)
    model, images, labels = given.model.to(device), given.images.to(device), given.labels.to(device)
    found = evaluate_model(model, images, labels, threat)
    distances = given.distances.numpy()
    clear = np.abs(distances / threat.epsilon - 1) > 0.02
    assert (found.robust == (distances > threat.epsilon))[clear].all()
    assert found.unreliable == ()
    assert found.adversarial.device.type == device.type
    source = known("linf", seed=9).model.to(device)
    measured = measure_conditions(model, images, labels, threat, sources={"another": source})
    assert measured.clean == 1.0
    assert 0 < measured.transfers["another"] <= 1.0
    assert 0 < measured.corrupted <= 1.0
    assert next(model.parameters()).device.type == device.type
