"""The way to a plane inside [0, 1]: shortest, by a solver; and FAB's nearest mistakes."""

import numpy as np
import pytest
import torch
from scipy.optimize import linprog, minimize

from trainables.ensemble.fab import length, to_plane


def case(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    here = torch.rand(1, 1, 2, 4, generator=generator, dtype=torch.float64)
    here.flatten()[:2] = torch.tensor([0.0, 1.0], dtype=torch.float64)
    normal = torch.randn(1, 1, 2, 4, generator=generator, dtype=torch.float64)
    normal.flatten()[3] = 0
    offset = torch.randn(1, generator=generator, dtype=torch.float64)
    return here, normal, offset


@pytest.mark.parametrize("seed", range(12))
def test_in_linf_the_shift_is_as_short_as_a_linear_programme_says(seed: int) -> None:
    here, normal, offset = case(seed)
    shift = to_plane(here, normal, offset, "linf")
    flat, points = normal.flatten().numpy(), here.flatten().numpy()
    # minimise t over (d, t) with |d| ≤ t, d in [-here, 1 - here] and normal · d = offset
    size = len(flat)
    sides = np.block([[np.eye(size), -np.ones((size, 1))], [-np.eye(size), -np.ones((size, 1))]])
    solved = linprog(
        [0] * size + [1],
        A_ub=sides,
        b_ub=np.zeros(2 * size),
        A_eq=[[*flat, 0]],
        b_eq=[float(offset)],
        bounds=[*zip(-points, 1 - points, strict=True), (0, None)],
    )
    assert solved.success
    assert float((normal * shift).sum()) == pytest.approx(float(offset), abs=1e-9)
    assert float(length(shift, "linf")) == pytest.approx(solved.fun, abs=1e-8)
    assert bool(((here + shift >= -1e-12) & (here + shift <= 1 + 1e-12)).all())


@pytest.mark.parametrize("seed", range(12))
def test_in_l2_the_shift_is_as_short_as_a_solver_says(seed: int) -> None:
    here, normal, offset = case(seed)
    shift = to_plane(here, normal, offset, "l2")
    flat, points = normal.flatten().numpy(), here.flatten().numpy()
    solved = minimize(
        lambda d: float(d @ d),
        np.zeros(len(flat)),
        jac=lambda d: 2 * d,
        method="SLSQP",
        bounds=list(zip(-points, 1 - points, strict=True)),
        constraints=[{"type": "eq", "fun": lambda d: flat @ d - float(offset), "jac": lambda d: flat}],
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert solved.success
    assert float((normal * shift).sum()) == pytest.approx(float(offset), abs=1e-9)
    assert float(length(shift, "l2")) == pytest.approx(float(np.sqrt(solved.fun)), abs=1e-6)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_plane_out_of_reach_is_approached_as_far_as_the_corner(norm: str) -> None:
    here = torch.full((1, 1, 1, 3), 0.5)
    normal = torch.tensor([[[[1.0, -2.0, 0.0]]]])
    shift = to_plane(here, normal, torch.tensor([100.0]), norm)  # type: ignore[arg-type]  # a parameter is a str
    assert shift.tolist() == [[[[0.5, -0.5, 0.0]]]]


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("scale", [1e-10, 1e-6, 1e6])
def test_the_scale_of_the_network_makes_no_difference(norm: str, scale: float) -> None:
    here, normal, offset = case(3)
    expected = to_plane(here, normal, offset, norm)  # type: ignore[arg-type]  # a parameter is a str
    found = to_plane(here, scale * normal, scale * offset, norm)  # type: ignore[arg-type]  # as above
    assert torch.allclose(found, expected, atol=1e-6)
    flat = to_plane(here, 0 * normal, offset, norm)  # type: ignore[arg-type]  # as above
    assert bool((flat == 0).all())


def test_rows_do_not_depend_on_each_other() -> None:
    cases = [case(seed) for seed in range(5)]
    here, normal, offset = (torch.cat(parts) for parts in zip(*cases, strict=True))
    together = to_plane(here, normal, offset, "l2")
    for row, (one, its_normal, its_offset) in enumerate(cases):
        assert torch.allclose(together[row : row + 1], to_plane(one, its_normal, its_offset, "l2"), atol=1e-12)
