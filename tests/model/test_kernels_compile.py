"""NVRTC compiles the kernels of a step for the GPUs they are meant for, where there is none too."""

import re

import pytest

from trainer.model import kernels, round_kernels

cupy = pytest.importorskip(
    "cupy", reason='no CuPy: pip install ".[gpu-check]" to compile the kernels'
)
nvrtc = cupy.cuda.nvrtc
ARCHITECTURES = ["75", "80", "90", "100"]  # Turing (T4), Ampere (A100), Hopper, Blackwell
# what CuPy adds to the options of any kernel, beside the places of headers
OF_CUPY = ["-ftz=true", "--device-as-default-execution-space"]
_FOUND = re.compile(
    r"entry function '(\w+)'.*?(\d+) bytes stack frame, (\d+) bytes spill stores,"
    r" (\d+) bytes spill loads.*?Used (\d+) registers",
    re.DOTALL,
)


def compiled(architecture, options, text):
    """Of each kernel (stack, spilled and reloaded bytes, registers), and what was said."""
    program = nvrtc.createProgram(text, "step.cu", (), ())
    told = [*options, *OF_CUPY, f"--gpu-architecture=sm_{architecture}"]
    try:
        nvrtc.compileProgram(program, (*told, "--ptxas-options=-v"))
        found = _FOUND.findall(nvrtc.getProgramLog(program))
        assert len(nvrtc.getCUBIN(program)) > 10_000
    except nvrtc.NVRTCError as error:
        raise AssertionError(nvrtc.getProgramLog(program)) from error
    return {name: tuple(map(int, numbers)) for name, *numbers in found}


def keep_all_in_registers(found):
    for name, (stack, stored, loaded, registers) in found.items():
        assert (stack, stored, loaded) == (0, 0, 0), name
        assert registers <= 85, name  # three blocks of 256 threads on a multiprocessor


@pytest.mark.parametrize("precision", kernels.REALS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_kernels_of_a_step_compile_and_keep_all_in_registers(architecture, precision):
    found = compiled(architecture, kernels.options(precision), kernels.text())
    own = {kernels.TAKE_ROWS, *kernels.ERROR_STEPS, *kernels.UPDATES, kernels.ERROR_SUMS}
    assert set(found) == own | {*kernels.WEIGHT_SQUARES.values()}
    keep_all_in_registers(found)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_kernels_of_a_round_compile_and_keep_all_in_registers(architecture):
    found = compiled(architecture, round_kernels.options(), round_kernels.text())
    assert set(found) == set(round_kernels.KERNELS)
    keep_all_in_registers(found)


@pytest.mark.parametrize(
    ("options", "text", "first"),
    [
        (kernels.options("float32"), kernels.text(), "long long start,"),
        (round_kernels.options(), round_kernels.text(), "long long rows,"),
    ],
)
def test_a_plan_that_is_laid_out_otherwise_is_refused(options, text, first):
    other = text.replace(first, f"long long more; {first}")
    with pytest.raises(AssertionError, match="lays it out in another way"):
        compiled("90", options, other)


def test_cupy_has_what_a_launch_needs():
    module = kernels.kernels_of(cupy, "float32")  # compiled when a kernel is asked for
    assert module.options == kernels.options("float32")
    assert callable(module.get_function)
    with open(cupy.cuda.compiler.__file__, encoding="utf-8") as file:
        source = file.read()
    assert all(f"options += ('{option}',)" in source for option in OF_CUPY)
    _, plan = kernels.new_plan(columns=7)
    assert cupy.cuda.function.CNumpyArray(plan)  # what passes a plan by value
