"""One broken thing at a time: a command line over broken files, and what it may touch."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from hostile_corrupt import (
    NAMES,
    broken_bytes,
    broken_file,
    broken_override,
    broken_tree,
    flow,
)
from hostile_scenes import Scene, scene, write


@dataclass
class Case:
    kind: str
    what: str
    argv: list[str]
    """Of `trainer`; or ["python", RUN], which reads a run folder as Python users do."""
    may_write: list[Path] = field(default_factory=list)
    race: tuple[Path, int, Callable[[Path], object]] | None = None
    """A file, and what happens to it as it is opened for the n-th time."""


def make(rng: Random, folder: Path, runs: list[Path]) -> Case:
    """Lay out one case in a new folder: data/, cfg/a.yaml, cwd/.

    Args:
        rng: decides everything.
        folder: the case's own.
        runs: run folders that are whole; they are copied, never touched.
    """
    files, config = scene(rng)
    if rng.random() < 0.1:
        config["optimizer"]["lr"] = 1e300  # diverges, unless something else is wrong first
    write(folder, files, flow(config).encode())
    kinds, weights = zip(*_KINDS.items(), strict=True)
    (kind,) = rng.choices(kinds, [weight for weight, _ in weights])
    case = _KINDS[kind][1](rng, folder, (files, config), runs)
    case.kind = kind
    return case


def _run(folder: Path, what: str, *more: str, out: str | None = None) -> Case:
    argv = ["run", "../cfg/a.yaml", *more, *([] if out is None else ["--out", out])]
    cwd = folder / "cwd"
    return Case("", what, argv, [cwd / "runs" if out is None else Path(os.path.abspath(cwd / out))])


def _data(rng: Random, folder: Path, good: Scene, runs: list[Path]) -> Case:
    files = good[0] or {"none": b""}
    name = rng.choice(sorted(files))
    content, what = broken_file(rng, name, files[name])
    (folder / "data" / name).write_bytes(content)
    return _run(folder, f"{name}: {what}")


def _config_text(rng: Random, folder: Path, good: Scene, runs: list[Path]) -> Case:
    path = folder / "cfg" / "a.yaml"
    text = flow(good[1]) if rng.random() < 0.5 else _blocks(good[1])
    content, what = broken_bytes(rng, text.encode())
    path.write_bytes(content)
    return _run(folder, what, *rng.choice(((), ("--check",), ("--plan",))))


def _blocks(config: dict[str, object]) -> str:
    return "".join(f"{key}: {flow(value)}  # a comment\n" for key, value in config.items())


def _config_tree(rng: Random, folder: Path, good: Scene, runs: list[Path]) -> Case:
    what = " + ".join(broken_tree(rng, good[1]) for _ in range(rng.choice((1, 1, 2))))
    (folder / "cfg" / "a.yaml").write_text(_blocks(good[1]), "utf-8", "surrogatepass")
    return _run(folder, what)


def _override(rng: Random, folder: Path, good: Scene, runs: list[Path]) -> Case:
    overrides = [broken_override(rng, good[1]) for _ in range(rng.choice((1, 1, 2)))]
    return _run(folder, f"overrides {overrides!r:.200}", "--quiet", *overrides)


# ---------------------------------------------------------------- places


def _become(path: Path, what: str) -> None:
    """Put something that is no file where a file is."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    {
        "loop": lambda: path.symlink_to(path.name),
        "dangling": lambda: path.symlink_to("nowhere"),
        "folder": lambda: path.mkdir(),
        "pipe": lambda: os.mkfifo(path),
        "device": lambda: path.symlink_to("/dev/zero"),
        "itself": lambda: path.symlink_to("."),
        "nothing": lambda: None,
    }[what]()


_THINGS = ("loop", "dangling", "folder", "pipe", "device", "itself", "nothing")


def _place(rng: Random, folder: Path, good: Scene, runs: list[Path]) -> Case:
    thing, name = rng.choice(_THINGS), rng.choice(NAMES)
    which = rng.choice(
        ("file", "file", "out is", "out called", "name", "source", "runs", "predict")
    )
    if which == "file":
        path = rng.choice(sorted(p for p in folder.rglob("*") if p.is_file()))
        _become(path, thing)
        return _run(folder, f"{path.name} is {thing}")
    if which == "out is":
        _become(folder / "cwd" / "out", thing)
        return _run(folder, f"--out is {thing}", out="out")
    if which == "out called":
        return _run(folder, f"--out {name!r:.50}", out=name)
    if which == "name":
        good[1]["name"] = name
        (folder / "cfg" / "a.yaml").write_text(flow(good[1]), "utf-8", "surrogatepass")
        return _run(folder, f"name {name!r:.50}")
    if which == "source":
        good[1]["data"]["train"] = {"libsvm": name}
        (folder / "cfg" / "a.yaml").write_text(flow(good[1]), "utf-8", "surrogatepass")
        return _run(folder, f"source {name!r:.50}")
    if which == "runs":
        thing = rng.choice(("loop", "dangling", "pipe"))
        _become(folder / "cwd" / "runs", thing)
        return _run(folder, f"runs is {thing}")
    out = rng.choice((name, f"{name}.csv", f"{name}.parquet"))
    data = rng.choice((*sorted(folder.glob("data/*")), folder / "data", Path(name)))
    argv = ["predict", str(rng.choice(runs)), str(data), "--out", out]
    return Case("", f"{argv[2:]!r:.100}", argv, [Path(os.path.abspath(folder / "cwd" / out))])


# ---------------------------------------------------------------- files that change


def _grow(path: Path) -> None:
    content = path.read_bytes()
    with path.open("ab") as file:
        file.write(content)


def _other(path: Path) -> None:
    beside = path.with_name("beside")
    beside.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    os.replace(beside, path)


_CHANGES: dict[str, Callable[[Path], object]] = {
    "vanishes": lambda path: path.unlink(),
    "grows": _grow,
    "is another, shorter": _other,
    "becomes a folder": lambda path: _become(path, "folder"),
    "becomes a loop": lambda path: _become(path, "loop"),
    "becomes empty": lambda path: (path.unlink(), path.touch()),
}


def _race(rng: Random, folder: Path, good: Scene, runs: list[Path]) -> Case:
    path = rng.choice(sorted(p for p in folder.rglob("*") if p.is_file()))
    count, (name, change) = rng.randint(1, 5), rng.choice(list(_CHANGES.items()))
    case = _run(folder, f"{path.name} {name} at its opening {count}", out="out")
    case.race = (path, count, change)
    return case


# ---------------------------------------------------------------- predict, and broken run folders


def _input_of(run: Path) -> Path:
    """The file that a good run was trained on."""
    return sorted((run.parent / "data").iterdir())[0]


def _predict(rng: Random, folder: Path, good: Scene, runs: list[Path]) -> Case:
    run = rng.choice(runs)
    source = _input_of(run)
    content, what = broken_file(rng, source.name, source.read_bytes())
    path = folder / "data" / rng.choice((source.name, source.name, "x.csv", "x.npy", "x.svm"))
    path.write_bytes(content)
    out = rng.choice((None, "p.csv", "p.parquet"))
    argv = ["predict", str(run), str(path), *([] if out is None else ["--out", out])]
    return Case("", f"{path.name}: {what}", argv, [folder / "cwd" / (out or "none")])


def _broken_run(rng: Random, folder: Path, good: Scene, runs: list[Path]) -> Case:
    run = rng.choice(runs)
    copy = folder / "run"
    shutil.copytree(run, copy, symlinks=True)
    said = []
    for _ in range(rng.choice((1, 1, 2))):
        path = rng.choice(sorted(p for p in copy.rglob("*") if p.suffix != ".log"))
        if rng.random() < 0.15 or not path.is_file():
            thing = rng.choice(_THINGS)
            _become(path, thing)
            said.append(f"{path.name} is {thing}")
        else:
            content, what = broken_bytes(rng, path.read_bytes())
            path.write_bytes(content)
            said.append(f"{path.name}: {what}")
    how = rng.choice(("predict", "report", "compare", "init", "python", "python"))
    what = f"{how} {run.parent.name} with {', '.join(said)}"
    if how == "predict":
        return Case("", what, ["predict", str(copy), str(_input_of(run))])
    if how == "report":
        return Case("", what, ["report", str(copy)], [copy / "report.html"])
    if how == "compare":
        page = folder / "cwd" / "compare.html"
        return Case("", what, ["report", str(copy), str(run), "--out", str(page)], [page])
    if how == "init":
        shutil.copytree(run.parent / "data", folder / "data", dirs_exist_ok=True)
        shutil.copy(run.parent / "cfg" / "a.yaml", folder / "cfg" / "a.yaml")
        return _run(folder, what, f"init={copy}")
    return Case("", what, ["python", str(copy)])


_KINDS: dict[str, tuple[int, Callable[[Random, Path, Scene, list[Path]], Case]]] = {
    "data": (26, _data),
    "config text": (14, _config_text),
    "config tree": (16, _config_tree),
    "override": (10, _override),
    "place": (9, _place),
    "race": (7, _race),
    "predict": (6, _predict),
    "run folder": (12, _broken_run),
}
