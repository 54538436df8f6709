"""What of the user's cannot be made is refused with every problem at once, attacks and compression methods alike."""

import pytest

from search.study.loading import load
from trainables.errors import InvalidInput


def test_a_study_with_an_attack_and_a_method_that_are_not_there_is_told_of_both() -> None:
    with pytest.raises(InvalidInput) as refused:
        load(
            "digits",
            [
                "baselines.0.perturbation={kind: 'nowhere_at_all:attack', epsilon: 0.1}",
                "baselines.4.compression={method: 'nowhere_at_all:compress'}",
            ],
        )
    one, other = refused.value.problems
    assert one.startswith("baselines.0.perturbation.kind: got 'nowhere_at_all:attack'")
    assert other.startswith("baselines.4.compression.method: got 'nowhere_at_all:compress'")
