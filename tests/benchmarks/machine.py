"""What a measurement was made on."""

import platform

import torch

from search.record.provenance import processor


def machine() -> str:
    """Processor, system, Python and torch."""
    return f"{processor()}, {platform.platform()}, Python {platform.python_version()}, torch {torch.__version__}"
