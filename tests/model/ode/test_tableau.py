"""The order conditions of every rooted tree, from the tableaux' own numbers."""

from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from math import prod

import pytest

from model.ode import DOPRI5, EULER, MIDPOINT, RK4, TSIT5, ButcherTableau

Tree = tuple["Tree", ...]

TABLEAUX = [EULER, MIDPOINT, RK4, DOPRI5, TSIT5]
# Tsitouras printed decimals: in the tableau to 36 digits, in the interpolant to 16.
ROUNDING = {"tsit5": Fraction(1, 10**15)}


def _forests(size: int, largest: int) -> Iterator[Tree]:
    if not size:
        yield ()
    for first in range(1, min(size, largest) + 1):
        for tree in trees(first):
            for rest in _forests(size - first, first):
                yield (tree, *rest)


@cache
def trees(size: int) -> tuple[Tree, ...]:
    """All rooted trees of a size: a tree is the sorted tuple of its root's subtrees."""
    return tuple({tuple(sorted(forest, key=repr)) for forest in _forests(size - 1, size - 1)})


def _size(tree: Tree) -> int:
    return 1 + sum(map(_size, tree))


def _density(tree: Tree) -> int:
    return _size(tree) * prod(map(_density, tree))


def _elementary_weights(tree: Tree, tableau: ButcherTableau) -> list[Fraction]:
    """For each stage the product over subtrees of sum_j a_ij * weight_j."""
    weights = [Fraction(1)] * tableau.num_stages
    for subtree in tree:
        inner = _elementary_weights(subtree, tableau)
        for stage, row in enumerate(tableau.a):
            weights[stage] *= sum(
                (a * w for a, w in zip(row, inner, strict=False)), start=Fraction(0)
            )
    return weights


def _defect(
    tableau: ButcherTableau, weights: tuple[Fraction, ...], size: int, theta: Fraction = Fraction(1)
) -> Fraction:
    """The largest violation of the order conditions of one size, at t + theta * h."""
    return max(
        abs(
            sum(
                (w * e for w, e in zip(weights, _elementary_weights(tree, tableau), strict=True)),
                start=Fraction(0),
            )
            - theta**size / _density(tree)
        )
        for tree in trees(size)
    )


def test_there_are_as_many_rooted_trees_as_cayley_counted() -> None:
    assert [len(trees(size)) for size in range(1, 8)] == [1, 1, 2, 4, 9, 20, 48]


@pytest.mark.parametrize("tableau", TABLEAUX, ids=lambda one: one.name)
def test_the_weights_have_the_declared_order_and_no_more(tableau: ButcherTableau) -> None:
    allowed = ROUNDING.get(tableau.name, Fraction(0))
    for size in range(1, tableau.order + 1):
        assert _defect(tableau, tableau.b, size) <= allowed
    assert _defect(tableau, tableau.b, tableau.order + 1) > Fraction(1, 10_000)


@pytest.mark.parametrize("tableau", TABLEAUX, ids=lambda one: one.name)
def test_every_row_of_the_stage_matrix_sums_to_its_node(tableau: ButcherTableau) -> None:
    allowed = ROUNDING.get(tableau.name, Fraction(0))
    for node, row in zip(tableau.c, tableau.a, strict=True):
        assert abs(sum(row, start=Fraction(0)) - node) <= allowed


@pytest.mark.parametrize("tableau", [DOPRI5, TSIT5], ids=lambda one: one.name)
def test_the_embedded_method_has_one_order_less(tableau: ButcherTableau) -> None:
    assert tableau.b_error is not None
    embedded = tuple(b - e for b, e in zip(tableau.b, tableau.b_error, strict=True))
    allowed = ROUNDING.get(tableau.name, Fraction(0))
    for size in range(1, tableau.order):
        assert _defect(tableau, embedded, size) <= allowed
    assert _defect(tableau, embedded, tableau.order) > Fraction(1, 10_000)


@pytest.mark.parametrize("tableau", [DOPRI5, TSIT5], ids=lambda one: one.name)
@pytest.mark.parametrize("theta", [Fraction(1, 7), Fraction(1, 2), Fraction(9, 10), Fraction(1)])
def test_the_interpolant_has_order_four_everywhere(
    tableau: ButcherTableau, theta: Fraction
) -> None:
    assert tableau.dense is not None
    weights = tuple(
        sum((p * theta ** (power + 1) for power, p in enumerate(row)), start=Fraction(0))
        for row in tableau.dense
    )
    allowed = ROUNDING.get(tableau.name, Fraction(0))
    for size in range(1, 5):
        assert _defect(tableau, weights, size, theta) <= allowed


@pytest.mark.parametrize("tableau", [DOPRI5, TSIT5], ids=lambda one: one.name)
def test_the_interpolant_ends_with_the_weights_of_the_step(tableau: ButcherTableau) -> None:
    assert tableau.dense is not None
    allowed = ROUNDING.get(tableau.name, Fraction(0))
    for b, row in zip(tableau.b, tableau.dense, strict=True):
        assert abs(sum(row, start=Fraction(0)) - b) <= 10 * allowed


@pytest.mark.parametrize("tableau", [DOPRI5, TSIT5], ids=lambda one: one.name)
def test_the_interpolant_is_smooth_across_steps(tableau: ButcherTableau) -> None:
    """Its slope is the first stage at theta = 0 and the last, the next first, at theta = 1."""
    assert tableau.dense is not None
    assert tableau.last_stage_is_next_first
    allowed = 10 * ROUNDING.get(tableau.name, Fraction(0))
    for stage, row in enumerate(tableau.dense):
        slope = sum(((power + 1) * p for power, p in enumerate(row)), start=Fraction(0))
        assert abs(row[0] - (stage == 0)) <= allowed
        assert abs(slope - (stage == tableau.num_stages - 1)) <= allowed
