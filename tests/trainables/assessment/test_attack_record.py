"""What an evaluation found, in a few kilobytes: read as it was written, and told from results on other images."""

import json

import numpy as np
import pytest
import torch

from tests.support.linear_network import known
from trainables.assessment.attack_record import AttackRecord, AttackSetting
from trainables.assessment.evaluate_model import evaluate_model
from trainables.assessment.recording import hash_of, record_of
from trainables.evaluation.config import ThreatModel

LINF = ThreatModel(epsilon=0.02)


def test_it_is_read_as_it_was_written() -> None:
    given = known("linf", images=77)
    found = evaluate_model(given.model, given.images, given.labels, LINF, attack="quick")
    record = record_of(found, given.images, given.labels)
    again = AttackRecord.of_json(json.loads(json.dumps(record.as_json())))
    assert found.scored is not None
    for name, bits in (("clean", found.clean), ("scored", found.scored), ("robust", found.robust)):
        assert getattr(again, name).tolist() == bits.tolist()
    assert (again.images, again.unreliable, again.turns) == (record.images, (), record.turns)
    assert [turn[0] for turn in again.turns] == ["PGD on two losses", "APGD-T"]


def test_ten_thousand_images_take_a_few_kilobytes() -> None:
    bits = np.random.default_rng(0).random(10_000) < 0.5
    record = AttackRecord("0" * 16, bits, bits, bits, (), (("APGD-T", 10_000, 3, 1.5),))
    assert len(json.dumps(record.as_json())) < 20_000


@pytest.mark.parametrize("key", ["images", "examples", "clean", "robust", "turns"])
def test_a_torn_record_is_none(key: str) -> None:
    bits = np.zeros(20, dtype=np.bool_)
    content = AttackRecord("0" * 16, bits, bits, bits, (), ()).as_json()
    del content[key]
    with pytest.raises(KeyError):
        AttackRecord.of_json(content)
    with pytest.raises(ValueError, match="expected 99"):
        AttackRecord.of_json(AttackRecord("0", bits, bits, bits, (), ()).as_json() | {"examples": 99})


def test_each_setting_has_a_file_of_its_own() -> None:
    settings = [
        AttackSetting(LINF, "standard", None),
        AttackSetting(LINF, "full", None),
        AttackSetting(LINF, "standard", 500),
        AttackSetting(LINF, "standard", None, seed=1),
        AttackSetting(ThreatModel(epsilon=0.03), "standard", None),
        AttackSetting(ThreatModel(norm="l2", epsilon=0.02), "standard", None),
    ]
    assert len({one.file for one in settings}) == 6
    assert settings[0].file == "attack-standard-linf-0.02-all.json"


def test_the_hash_is_of_images_and_labels() -> None:
    images, labels = torch.rand(5, 1, 2, 2), torch.arange(5)
    other = labels.clone()
    other[0] = 3
    hashes = {hash_of(images, labels), hash_of(images + 0.1, labels), hash_of(images, other)}
    assert len(hashes) == 3
    assert hash_of(images.clone(), labels.clone()) == hash_of(images, labels)
