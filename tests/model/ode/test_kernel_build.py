"""When the fused kernel can be used, and how it is built and found."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from model.ode import kernel as kernel_package
from model.ode.kernel import Kernel, KernelBuildError, applies
from model.ode.kernel import compiler as kernel_compiler
from model.ode.problem import InitialValueProblem, Jumps
from model.ode.tableau import DOPRI5, EULER, RK4
from tests.model.ode.kernel_cases import Case, fused, in_double


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Kernel:
    try:
        return kernel_package.build(tmp_path_factory.mktemp("kernel"))
    except KernelBuildError as error:
        pytest.skip(f"the fused kernel cannot be built here: {error}")


def test_it_applies_to_what_it_can_solve_and_refuses_the_rest(kernel: Kernel) -> None:
    case = Case()
    field, batch = case.field(), case.batch()
    problem = InitialValueProblem(field, batch.y0, batch.t0, batch.times)
    assert applies(problem, RK4)
    assert applies(
        InitialValueProblem(field, batch.y0, batch.t0.double(), batch.times.double()), EULER
    )
    jumps = Jumps(torch.zeros(5, 1), torch.zeros(5, 1, 20))
    exact_field, exact = in_double(field, batch)
    others = [
        (problem, DOPRI5),
        (replace(problem, jumps=jumps), RK4),
        (replace(problem, vector_field=field.forward), RK4),
        (InitialValueProblem(exact_field, exact.y0, exact.t0, exact.times), RK4),
        (replace(problem, y0=batch.y0.to("meta")), RK4),
        (InitialValueProblem(field, batch.y0[:0], batch.t0[:0], batch.times[:0]), RK4),
    ]
    assert not any(applies(other, tableau) for other, tableau in others)
    with pytest.raises(ValueError, match="cannot solve"):
        fused(field, batch, replace(case, tableau=DOPRI5), kernel)
    with pytest.raises(ValueError, match="num_steps"):
        fused(field, batch, replace(case, steps=0), kernel)


def test_it_does_not_apply_under_a_transformation_of_functions() -> None:
    case = Case()
    field, batch = case.field(), case.batch()

    def answer(y0: Tensor) -> Tensor:
        assert not applies(InitialValueProblem(field, y0, batch.t0, batch.times), RK4)
        return y0

    torch.func.vmap(answer)(batch.y0.expand(2, -1, -1))
    torch.func.jacrev(answer)(batch.y0)


def test_a_built_kernel_is_found_again_and_another_s_is_not(kernel: Kernel, tmp_path: Path) -> None:
    folder = kernel.path.parent
    assert kernel_package.load(folder) == kernel_package.load(folder)
    found = kernel_package.load(folder)
    assert found is not None
    assert found.path == kernel.path
    assert [path.suffix for path in folder.iterdir()] == [".so"]
    assert kernel_package.load(tmp_path) is None
    folder.chmod(0o777)
    try:
        assert kernel_compiler.find(folder) is None
        with pytest.raises(KernelBuildError, match="chmod 700"):
            kernel_compiler.build(folder)
    finally:
        folder.chmod(0o700)


def test_without_a_compiler_the_message_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(
        KernelBuildError, match=r"needs a C compiler.*no-such-compiler.*install gcc"
    ):
        kernel_package.build(tmp_path)


def test_a_compiler_that_fails_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(KernelBuildError, match="failed with 1"):
        kernel_compiler.build(tmp_path, compiler="false")
    assert not list(tmp_path.iterdir())


def test_the_cache_is_the_user_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert kernel_compiler.cache_folder() == tmp_path / "cache" / "lacuna"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert kernel_compiler.cache_folder() == tmp_path / ".cache" / "lacuna"
