"""All the sources of a run: the spec's files, or what Python passes in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trainer.data.arrays import host_array, with_target
from trainer.data.digest import Digest
from trainer.data.frame import Frame, Like
from trainer.data.hints import nearest
from trainer.data.sources import features_frame, read_source
from trainer.errors import DataError

if TYPE_CHECKING:
    from trainer.spec.schema import Spec


@dataclass(frozen=True)
class Sources:
    """What was read: the training source, and those of the splits that have their own."""

    train: Frame
    held: Mapping[str, Frame]
    """By name of the split: "val", "test" or a test source's own name."""
    val_fraction: float
    """Share of the training source for validation, 0 for none."""
    test_fraction: float
    keys: Mapping[str, str]
    """Names to read another file by, see `Encoder.keys`."""
    digest: str


def read_files(spec: Spec) -> Sources:
    """Read the sources that a spec names.

    Raises:
        DataError: whatever is wrong with them.
    """
    data, model, digest = spec.data, spec.model, Digest()
    train = read_source(data.train, model, None, digest)
    wanted: dict[str, Any] = {}
    if data.val != "none" and not isinstance(data.val, float):
        wanted["val"] = data.val
    if isinstance(data.test, Sequence) and not isinstance(data.test, str):
        wanted |= {source.name: source for source in data.test}
    elif data.test != "none" and not isinstance(data.test, float):
        wanted["test"] = data.test
    keys = _keys(data.train)
    like = Like(train.names, train.text, "libsvm" in keys)
    return Sources(
        train,
        {name: read_source(source, model, like, digest) for name, source in wanted.items()},
        data.val if isinstance(data.val, float) else 0.0,
        data.test if isinstance(data.test, float) else 0.0,
        keys,
        digest.hexdigest(),
    )


def read_passed(arrays: Mapping[str, Any], model: str) -> Sources:
    """Read what Python passes in: {"train": (X, y), "val": …, "test": …, "weight": …}.

    Raises:
        DataError: whatever is wrong with it.
    """
    _check_keys(arrays)
    digest = Digest()
    train = _read_pair(arrays["train"], arrays.get("weight"), "'train'", model, None, digest)
    like = Like(train.names, train.text)
    test = arrays.get("test")
    pairs = {} if arrays.get("val") is None else {"val": ("'val'", arrays["val"])}
    if isinstance(test, Mapping):
        for name, pair in test.items():
            if name in ("train", "val"):
                raise DataError(f"data['test'][{name!r}]: is another split's name; choose one")
            pairs[str(name)] = (f"'test'][{name!r}", pair)
    elif test is not None:
        pairs["test"] = ("'test'", test)
    held = {
        name: _read_pair(pair, None, key, model, like, digest)
        for name, (key, pair) in pairs.items()
    }
    return Sources(train, held, 0.0, 0.0, {}, digest.hexdigest())


def _read_pair(
    pair: Any, weight: Any, key: str, model: str, like: Like | None, digest: Digest
) -> Frame:
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise DataError(f"data[{key}]: is a {type(pair).__name__}; a pair (X, y) is right")
    X, y = pair
    x_where, y_where = f"data[{key}] X", f"data[{key}] y"
    y = host_array(y, y_where)
    frame = features_frame(X, like, x_where)
    s = None if weight is None else host_array(weight, "data['weight']")
    frame = with_target(
        frame,
        y,
        s,
        target_where=y_where,
        weight_where="data['weight']",
        labels=model != "linear",
    )
    digest.frame(frame)
    return frame


def _check_keys(arrays: Mapping[str, Any]) -> None:
    known = ["train", "val", "test", "weight"]
    for key in arrays:
        if key not in known:
            raise DataError(f"data[{key!r}]: is not read; {nearest(str(key), known)}")
    if "train" not in arrays:
        raise DataError("data: has no 'train'; {'train': (X, y)} is the least")


def _keys(source: Any) -> Mapping[str, str]:
    """Names to read another file by, see `Encoder.keys`."""
    keys = {"libsvm": "x"} if hasattr(source, "libsvm") else {}
    if hasattr(source, "npz"):
        keys = {"features": source.features, "target": source.target}
    weight = getattr(source, "weight", None)
    if weight is not None and not hasattr(source, "npy"):
        keys["weight"] = weight
    return keys
