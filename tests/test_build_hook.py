"""The build hook: what it compiles with and for, and what it says where it cannot."""

import importlib.util
import os
import shutil
from pathlib import Path

import pytest

from trainer.model import compiled

pytest.importorskip("hatchling")
ROOT = Path(__file__).parent.parent
SCRIPTS = pytest.mark.skipif(os.name == "nt", reason="a shell script stands for the compiler")


@pytest.fixture
def hook(monkeypatch):
    for name in ("CC", "ARCHFLAGS", "STACKED_TRAINER_REQUIRE_COMPILED"):
        monkeypatch.delenv(name, raising=False)
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def checkout(tmp_path):
    folder = tmp_path / "trainer" / "model"
    folder.mkdir(parents=True)
    for source in compiled.FOLDER.glob("*.[ch]"):
        shutil.copy(source, folder)
    (folder / compiled.LIBRARY.name).write_bytes(b"of before")
    return tmp_path


def initialized(hook, checkout):
    data = {"artifacts": [], "pure_python": True}
    made = hook.CustomBuildHook(str(checkout), {}, None, None, "", "wheel")
    made.initialize("standard", data)
    return data


def test_hook_and_package_name_the_same_library_of_the_same_sources(hook):
    assert compiled.LIBRARY.name == hook.LIBRARY
    assert hook.sources_digest(compiled.FOLDER) == compiled.sources_digest()
    assert set(hook.X86) == set(compiled.SETS)
    assert {path.name for path in compiled.FOLDER.glob("*.c")} == {*hook.CONTRACT, *hook.ONCE}


@pytest.mark.parametrize(
    ("cc", "why"),
    [
        (None, "there is no C compiler: none of cc, gcc, clang, zig is found"),
        ("/no/such/cc", "/no/such/cc: No such file or directory"),
        ("false", "false failed; what it says is above"),
    ],
)
def test_without_a_compiler_that_works_nothing_of_before_is_left(
    hook, checkout, cc, why, monkeypatch, capsys
):
    if cc == "false" and shutil.which("false") is None:
        pytest.skip("there is no false")
    monkeypatch.setattr(hook, "COMPILERS", ("cc", "gcc", "clang", "zig"))
    if cc is None:
        monkeypatch.setenv("PATH", str(checkout))
    else:
        monkeypatch.setenv("CC", cc)
    assert initialized(hook, checkout) == {"artifacts": [], "pure_python": True}
    told = capsys.readouterr().err.splitlines()
    assert told[-1] == f"the step is not compiled, NumPy runs it: {why}"
    assert not (checkout / "trainer" / "model" / compiled.LIBRARY.name).exists()
    monkeypatch.setenv("STACKED_TRAINER_REQUIRE_COMPILED", "1")
    with pytest.raises(SystemExit) as left:
        initialized(hook, checkout)
    begins = "STACKED_TRAINER_REQUIRE_COMPILED=1, but the step is not compiled: "
    assert left.value.code == begins + why


def test_the_sets_are_those_of_the_processor_it_is_for(hook, monkeypatch):
    monkeypatch.setattr(hook, "MAC", True)
    for flags, sets, of_processor in (
        ("-arch x86_64", list(hook.X86), ["-arch", "x86_64"]),
        ("-arch arm64", ["baseline"], ["-arch", "arm64"]),
        ("-arch arm64 -arch x86_64", ["baseline"], ["-arch", "arm64", "-arch", "x86_64"]),
    ):
        monkeypatch.setenv("ARCHFLAGS", flags)
        found, passed = hook.instruction_sets(["cc"])
        assert (list(found), passed) == (sets, of_processor)
    monkeypatch.setattr(hook, "MAC", False)
    for machine, sets in (("AMD64", list(hook.X86)), ("aarch64", ["baseline"])):
        monkeypatch.setattr(hook.platform, "machine", lambda machine=machine: machine)
        assert list(hook.instruction_sets(["cc"])[0]) == sets


@pytest.mark.parametrize(("clang", "sets"), [(True, 3), (False, 1)])
def test_gcc_on_windows_makes_no_wide_vectors(hook, clang, sets, monkeypatch):
    monkeypatch.setattr(hook, "WINDOWS", True)
    monkeypatch.setattr(hook, "_is_clang", lambda cc: clang)
    monkeypatch.setattr(hook.platform, "machine", lambda: "AMD64")
    assert len(hook.instruction_sets(["cc"])[0]) == sets


def test_a_compiler_that_is_not_there_is_none_on_windows_too(hook, checkout, monkeypatch, capsys):
    monkeypatch.setattr(hook, "WINDOWS", True)
    monkeypatch.setenv("CC", "/no/such/cc")
    assert initialized(hook, checkout) == {"artifacts": [], "pure_python": True}
    assert "/no/such/cc: No such file or directory" in capsys.readouterr().err


@SCRIPTS
def test_of_what_a_compiler_leaves_the_library_alone_is_kept(hook, checkout, monkeypatch):
    cc, model = checkout / "cc", checkout / "trainer" / "model"
    cc.write_bytes(
        b'#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\necho > "$2"; echo > "$2".lib\n'
    )
    cc.chmod(0o755)
    monkeypatch.setenv("CC", str(cc))
    sources = {path.name for path in model.glob("*.[ch]")}
    assert hook.compile_step(model) == model / hook.LIBRARY
    assert {path.name for path in model.iterdir()} == {*sources, hook.LIBRARY}
    assert (model / hook.LIBRARY).read_bytes() == b"\n"


@SCRIPTS
def test_what_a_compiler_says_may_have_any_encoding(hook, checkout, monkeypatch, capsys):
    cc = checkout / "cc"
    cc.write_bytes(b"#!/bin/sh\nprintf 'Datei \\374berz\\344hlig' >&2\nexit 1\n")
    cc.chmod(0o755)
    monkeypatch.setenv("CC", str(cc))
    assert initialized(hook, checkout) == {"artifacts": [], "pure_python": True}
    assert "Datei \ufffdberz\ufffdhlig" in capsys.readouterr().err


def test_a_library_that_cannot_be_replaced_stops_no_install(hook, checkout, monkeypatch, capsys):
    def refuse(path, missing_ok=False):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(hook.Path, "unlink", refuse)
    assert initialized(hook, checkout) == {"artifacts": [], "pure_python": True}
    assert f"{hook.LIBRARY}: Permission denied" in capsys.readouterr().err
