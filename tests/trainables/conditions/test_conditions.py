"""Corruptions do what they say, balls of two norms are as large, and conditions are measured as by hand."""

import colorsys
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.support.linear_network import known
from trainables.assessment.attack_record import AttackSetting
from trainables.conditions.corruptions import CORRUPTIONS, OCCLUSION, SEVERITIES, corrupt, corruptions_for
from trainables.conditions.measurement import MULTIPLES, measure_conditions
from trainables.conditions.other_norm import other_norm
from trainables.conditions.record import Conditions, conditions_file, read_conditions
from trainables.evaluation.config import ThreatModel
from trainables.storage import Folder

NAMES = list(CORRUPTIONS)
SHAPES = [(1, 8, 8), (3, 32, 32), (1, 28, 28), (3, 20, 31), (4, 16, 16)]


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def pictures(shape: tuple[int, ...], count: int = 6) -> Tensor:
    """Smooth images, as photographs are: JPEG and blur harm noise far more."""
    rows, columns = (torch.linspace(0, 3, side) for side in shape[1:])
    phase = torch.rand(count, shape[0], 1, 1, generator=generator()) * 6
    return 0.5 + 0.4 * torch.sin(rows[:, None] + 2 * columns + phase)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NAMES)
def test_images_keep_their_shape_and_box_and_what_is_more_severe_harms_more(name: str, shape: tuple[int, ...]) -> None:
    if name not in corruptions_for(shape[0]):
        assert (name, shape[0]) == ("JPEG", 4)
        return
    images = pictures(shape)
    found = [corrupt(name, images, severity, generator()) for severity in range(1, SEVERITIES + 1)]
    for one in found:
        assert one.shape == images.shape
        assert one.dtype == images.dtype
        assert one.min() >= 0
        assert one.max() <= 1
    harm = [float((one - images).square().mean()) for one in found]
    assert 0 < harm[0] <= harm[-1]
    assert harm == sorted(harm) or name == "occlusion"  # where the square lies depends on its size
    again = corrupt(name, images, 3, generator())
    assert torch.equal(again, found[2])


def test_closed_forms_of_some_corruptions() -> None:
    noise = corrupt("noise", torch.full((50, 1, 20, 20), 0.5), 5, generator()) - 0.5
    assert float(noise.std()) == pytest.approx(0.1, rel=0.02)
    covered = corrupt("occlusion", torch.zeros(10, 1, 20, 20), 5, generator())
    side = round(OCCLUSION[4] * 20)
    assert (covered == 0.5).flatten(1).sum(1).tolist() == [side * side] * 10
    flat = torch.full((4, 1, 9, 9), 0.3)
    for name in ("blur", "contrast"):
        assert torch.allclose(corrupt(name, flat, 5, generator()), flat, atol=1e-6)


def test_brightness_is_added_to_the_value_of_a_pixel_and_keeps_its_hue() -> None:
    images = torch.rand((1, 3, 4, 4), generator=generator())
    images[0, :, 0, 0] = 0
    brighter = corrupt("brightness", images, 5, generator())
    for pixel, found in zip(images[0].flatten(1).T.tolist(), brighter[0].flatten(1).T.tolist(), strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
        assert found == pytest.approx(colorsys.hsv_to_rgb(hue, saturation, min(1, value + 0.3)), abs=1e-6)
    grey = torch.tensor([0.0, 0.5, 0.9]).view(1, 1, 1, 3)
    assert corrupt("brightness", grey, 2, generator()).flatten().tolist() == pytest.approx([0.1, 0.6, 1.0])


def test_contrast_is_about_the_mean_of_each_channel() -> None:
    images = torch.tensor([[0.2, 0.4], [0.5, 0.9]]).view(1, 2, 1, 2)
    expected = [0.3 - 0.015, 0.3 + 0.015, 0.7 - 0.03, 0.7 + 0.03]
    assert corrupt("contrast", images, 5, generator()).flatten().tolist() == pytest.approx(expected)


@pytest.mark.parametrize("dimensions", [1, 2, 3, 64, 3072, 150_528])
def test_the_other_ball_has_the_same_volume(dimensions: int) -> None:
    linf = ThreatModel(norm="linf", epsilon=0.0001)
    l2 = other_norm(linf, dimensions)
    cube = dimensions * math.log(2 * linf.epsilon)
    ball = dimensions / 2 * math.log(math.pi) - math.lgamma(dimensions / 2 + 1) + dimensions * math.log(l2.epsilon)
    assert l2.norm == "l2"
    assert ball == pytest.approx(cube, rel=1e-9)
    back = other_norm(l2, dimensions)
    assert back.norm == "linf"
    assert back.epsilon == pytest.approx(linf.epsilon)


def test_on_a_linear_network_the_curve_is_what_its_margins_say() -> None:
    given, threat = known("linf", images=80), ThreatModel(epsilon=0.03)
    training = nn.Sequential(given.model, nn.Identity()).train()
    found = measure_conditions(
        training,
        given.images,
        given.labels,
        threat,
        sources={"itself": given.model, "another": known("linf", seed=9).model},
        other_data={"the same": (given.images, given.labels), "wrong": (given.images, 1 - given.labels)},
    )
    assert training.training
    assert found.clean == 1.0
    assert list(found.by_epsilon) == list(MULTIPLES)
    for multiple, accuracy in found.by_epsilon.items():
        radius = multiple * threat.epsilon
        least = float((given.distances > 1.02 * radius).float().mean())
        most = float((given.distances > 0.98 * radius).float().mean())
        assert least - 0.01 <= accuracy <= most + 0.05, multiple
    assert found.transfers["itself"] <= found.transfers["another"]
    assert found.by_epsilon[1.0] <= found.transfers["itself"] <= found.by_epsilon[1.0] + 0.1
    assert found.other_data == {"the same": (1.0, found.by_epsilon[1.0]), "wrong": (0.0, 0.0)}
    assert set(found.corruptions) == set(NAMES)
    assert min(map(min, found.corruptions.values())) <= found.corrupted <= max(map(max, found.corruptions.values()))
    assert Conditions.of_json(json.loads(json.dumps(found.as_json()))) == found


def test_a_record_counts_for_its_threat_model_and_images_and_for_the_sources_in_it(tmp_path: Path) -> None:
    folder, threat = Folder(str(tmp_path)), ThreatModel(epsilon=0.03)
    setting = AttackSetting(threat, "standard", 50)
    made = Conditions(0.9, {1.0: 0.5}, ThreatModel(norm="l2", epsilon=0.4), 0.4, {"noise": (0.8,) * 5}, {"base": 0.7})
    assert read_conditions(folder, setting, []) is None
    folder.write_json(conditions_file(setting), made.as_json())
    assert conditions_file(setting) == "conditions-linf-0.03-50.json"
    assert read_conditions(folder, setting, ["base"]) == made
    assert read_conditions(folder, AttackSetting(threat, "full", 50), []) == made
    assert read_conditions(folder, AttackSetting(threat, "standard", 60), []) is None
    assert read_conditions(folder, setting, ["base", "pgd"]) is None
    assert read_conditions(folder, setting, ["base"], ["photographs"]) is None
    more = replace(made, other_data={"photographs": (0.8, 0.3)})
    folder.write_json(conditions_file(setting), more.as_json())
    assert read_conditions(folder, setting, ["base"], ["photographs"]) == more
    before = {name: value for name, value in made.as_json().items() if name != "other_data"}
    folder.write_json(conditions_file(setting), before)
    assert read_conditions(folder, setting, ["base"]) == made
    folder.write(conditions_file(setting), b"{torn")
    assert read_conditions(folder, setting, []) is None


def test_what_another_confirmation_measured_on_the_same_images_is_kept() -> None:
    found = Conditions(
        0.9, {1.0: 0.5}, ThreatModel(norm="l2", epsilon=0.9), 0.6, {"noise": (0.8,)}, {"a": 0.7}, {}, "x"
    )
    later = replace(found, transfers={"b": 0.6}, other_data={"mnist": (0.5, 0.4)})
    both = later.with_those_of(found)
    assert both.transfers == {"a": 0.7, "b": 0.6}
    assert both.other_data == {"mnist": (0.5, 0.4)}
    assert both.of_sources({"b", "c"}) == later
    assert later.with_those_of(replace(found, images="others")) == later.with_those_of(None) == later
    assert Conditions.of_json(both.as_json()) == both
