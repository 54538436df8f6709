"""Lists every field of a recipe with its default and the version that brought it, so that new fields change no id.

A recipe's id is a hash of its fields. The fields that a configuration was first released with always go into the hash;
a field that came later goes in only where its value differs from its default. So a recipe of an older version keeps its
id. For this, a default must never change once it is released: older recipes with that id were trained with it.

To add a field, give it a default that means "as before", and add it to this table under the version that will bring it.
To add a configuration, such as an attack, add a row with all of its fields.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel

REQUIRED: Any = ...  # stands in place of a default where the field must be given

# The defaults in JSON's form, by class and then by version. The first version of a class is the one that brought it.
RELEASED: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "Recipe": {
        "0.1": {
            "data": REQUIRED,
            "model": REQUIRED,
            "base": None,
            "weights": None,
            "compression": {"method": "none"},
            "quantization": None,
            "perturbation": {"kind": "none"},
            "loss": {"kind": "cross_entropy", "label_smoothing": 0.0},
            "loop": {"kind": "ordinary"},
            "distillation": None,
            "augmentation": {"crop_padding": 0, "flip": False},
            "schedule": REQUIRED,
            "keep": "last",
            "precision": "float32",
            "seed": 0,
        },
    },
    "Data": {
        "0.1": {
            "name": REQUIRED,
            "path": None,
            "image_size": None,
            "train_size": None,
            "validation_size": REQUIRED,
            "split_seed": 0,
        },
    },
    "Network": {
        "0.1": {"name": REQUIRED, "normalization": True, "depth": 28, "width": 10},
        "0.3": {"uncounted_operators": (), "pixel_mean": None, "pixel_std": None},
    },
    "Weights": {"0.1": {"path": REQUIRED, "sha256": None}},
    "NoCompression": {"0.1": {"method": "none"}},
    "ChannelPruning": {
        "0.1": {
            "method": "channel_pruning",
            "pruning_ratio": None,
            "mac_ratio": None,
            "steps": 1,
            "importance": "l1",
            "scope": "global",
            "taylor_examples": 256,
        },
    },
    "UserCompression": {"0.2": {"method": REQUIRED, "steps": 1, "settings": {}}},
    "Settings": {"0.2": {}},
    "Quantization": {"0.1": {"weight_bits": 8, "activation_bits": 8, "calibration_examples": 256}},
    "NoPerturbation": {"0.1": {"kind": "none"}},
    "FGSM": {"0.1": {"kind": "fgsm", "warm_up": 0.0, "epsilon": REQUIRED, "step_size": None}},
    "NFGSM": {"0.1": {"kind": "n_fgsm", "warm_up": 0.0, "epsilon": REQUIRED}},
    "PGD": {
        "0.1": {
            "kind": "pgd",
            "warm_up": 0.0,
            "norm": "linf",
            "epsilon": REQUIRED,
            "steps": REQUIRED,
            "step_size": None,
        },
    },
    "PublishedPGD": {"0.1": {"kind": "pgd_as_published", "warm_up": 0.0, "epsilon": REQUIRED, "steps": 20}},
    "UserAttack": {
        "0.2": {"kind": REQUIRED, "warm_up": 0.0, "norm": "linf", "epsilon": REQUIRED, "settings": {}},
    },
    "CrossEntropy": {"0.1": {"kind": "cross_entropy", "label_smoothing": 0.0}},
    "Mixed": {"0.1": {"kind": "mixed", "clean_weight": 0.5}},
    "Trades": {"0.1": {"kind": "trades", "beta": 6.0}},
    "OrdinaryLoop": {"0.1": {"kind": "ordinary"}},
    "FreeLoop": {"0.1": {"kind": "free", "replays": 4}},
    "Distillation": {"0.1": {"temperature": 4.0, "weight": 0.5, "teacher": None}},
    "Augmentation": {"0.1": {"crop_padding": 0, "flip": False}},
    "Schedule": {
        "0.1": {
            "epochs": REQUIRED,
            "learning_rate": REQUIRED,
            "batch_size": 64,
            "shape": "one_cycle",
            "optimizer": "sgd",
            "momentum": 0.9,
            "weight_decay": 5e-4,
            "averaging": None,
        },
        "0.3": {"last_epoch_steps": None},
    },
}


def identifying_fields(configuration: BaseModel) -> dict[str, Any]:
    """Returns the fields of a configuration that go into an id, as plain data.

    Later fields are among them only where they differ from their defaults.

    Args:
        configuration: a recipe, or a part of one; the configurations inside it are treated alike.
    """
    fields: dict[str, Any] = configuration.model_dump(mode="json")
    _leave_out(configuration, fields)
    return fields


def _leave_out(configuration: BaseModel, fields: dict[str, Any]) -> None:
    """Removes the later fields that are at their defaults from a configuration's dump, in place.

    A value counts as a configuration where its dump is a dict and itself is none. A check by `isinstance(value,
    BaseModel)` would take 45 µs a recipe instead of 31 (measured), and every candidate of every proposal needs its id.
    """
    later = _later_defaults(type(configuration))
    for name, value in configuration.__dict__.items():
        dumped = fields.get(name)  # None for pydantic's entry of extra values, which is no field
        if name in later and value == later[name]:
            del fields[name]
        elif isinstance(dumped, dict) and not isinstance(value, dict):
            _leave_out(value, dumped)
        elif isinstance(value, tuple):
            for one, inner in zip(value, dumped or ()):
                if isinstance(inner, dict) and not isinstance(one, dict):
                    _leave_out(one, inner)


@cache
def _later_defaults(kind: type[BaseModel]) -> Mapping[str, Any]:
    """Returns the defaults of the fields that came after their class was first released.

    A class without a row has none: all of its fields go into the id.
    """
    versions = next((RELEASED[one.__name__] for one in kind.__mro__ if one.__name__ in RELEASED), None)
    original = kind.model_fields if versions is None else next(iter(versions.values()))
    return {
        name: field.get_default(call_default_factory=True)
        for name, field in kind.model_fields.items()
        if name not in original and not field.is_required()
    }
