"""Ray reads its environment when it is imported, so it is set before any test module."""

from cluster.session import prepare_environment

prepare_environment(None)
