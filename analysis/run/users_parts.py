"""Names the parts of a run's fingerprint, and picks those that are the user's: data, modules and shipped files."""

from collections.abc import Mapping

DATA = "data"
MODULE, FILE = "module ", "file "  # what the names of the parts of modules and of shipped files begin with


def users_parts(fingerprint: Mapping[str, str]) -> dict[str, str]:
    """Return the parts of a fingerprint that are the user's; the others are Temper's, the study and the lock."""
    return {name: value for name, value in fingerprint.items() if name == DATA or name.startswith((MODULE, FILE))}
