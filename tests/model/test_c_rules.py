"""The rules of a step that C and CUDA share: they compile as both languages, without a warning."""

import shutil
import subprocess
from pathlib import Path

import pytest

from trainer.model import compiled

FOLDER = Path(compiled.__file__).parent
SOURCE = """
#include <math.h>
#define real float
#define RULE static inline
#define NAME(name) name##_f32
#define EXP expf
#define EXP_DOWN expf
#define LOG logf
#define LOG1P log1pf
#define SQRT sqrtf
#define ABS fabsf
#define EXP_LARGEST 88.72283935546875f
#include "rules.h"
int main(void) {
  float p = 1, a = 0, b = 0, h[9] = {0.5f, 0, 0.25f, 0, 0, 0, 0, 0, 0};
  update_f32(SGD, 1, 0, &p, 1, &a, &b, h);
  verdict_f32 one = judge_f32(BINARY_CROSS_ENTROPY, 0, 1);
  int right = p == 0.25f && a == -0.75f && one.error == -0.5f && fabsf(one.loss - logf(2)) < 1e-6f;
  right = right && larger_f32(1, NAN) != larger_f32(1, NAN) && sigmoid_f32(-1e4f, 0) == 0;
  return right && softmax_error_f32(1, 0.5f, 1) == -0.5f && softmax_loss_f32(1, -2) == 2 ? 0 : 1;
}
"""
COMPILERS = [("cc", "-std=c99", "c"), ("c++", "-std=c++17", "c++")]


@pytest.mark.parametrize(("compiler", "standard", "language"), COMPILERS)
def test_the_rules_are_of_both_languages(compiler, standard, language, tmp_path):
    if shutil.which(compiler) is None:
        pytest.skip(f"there is no {compiler}")
    program = tmp_path / "rules"
    strict = [standard, "-Wall", "-Wextra", "-Werror", "-pedantic", f"-I{FOLDER}"]
    command = [compiler, *strict, "-x", language, "-", "-lm", "-o", str(program)]
    done = subprocess.run(command, input=SOURCE, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert subprocess.run([str(program)], check=False).returncode == 0
