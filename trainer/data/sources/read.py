"""All the sources of a run, read once: the spec's files, or what Python passes in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from trainer.catalog import MODELS, SOURCES
from trainer.data.encode.encoder import is_indexed
from trainer.data.frame import Frame, Labels, Like
from trainer.data.sources.alignment import check_alignment
from trainer.data.sources.arrays import with_group, with_target
from trainer.data.sources.beside import find, wanted_column, without
from trainer.data.sources.digest import Digest
from trainer.data.sources.host import host_array
from trainer.data.sources.registry import features_frame, read_beside, read_source
from trainer.data.sources.source import Source
from trainer.errors import DataError
from trainer.text.suggest import nearest_name

if TYPE_CHECKING:
    from trainer.config.schema.spec import Spec


def read(spec: Spec, arrays: Mapping[str, Any] | None = None) -> Source:
    """Read what a run needs, each file once.

    Args:
        spec: the run; its model says whether a target is labels.
        arrays: as in `prepare`.

    Raises:
        DataError: whatever is wrong with the sources.
    """
    found = find(spec, arrays, read_beside)
    if arrays is None:
        source = _read_files(spec)
    else:
        wanted = wanted_column(spec)
        source = _read_passed(arrays, spec.model, [wanted] if isinstance(wanted, str) else [])
    if found is None:
        return source
    if not isinstance(found.values, Labels):  # else it is of a file that is hashed already
        source.hashed.beside(found.values)
    return replace(source, beside=found.of(source.frame))


def _read_files(spec: Spec) -> Source:
    data, model, digest = spec.data, spec.model, Digest()
    separate = spec.targets == "separate"
    train_source = without(data.train, wanted_column(spec))
    train = read_source(train_source, model, None, digest, separate)
    wanted: dict[str, Any] = {}
    if data.val != "none" and not isinstance(data.val, float):
        wanted["val"] = data.val
    if isinstance(data.test, Sequence) and not isinstance(data.test, str):
        wanted |= {source.name: source for source in data.test}
    elif data.test != "none" and not isinstance(data.test, float):
        wanted["test"] = data.test
    keys = {**_keys(data.train), **train.keys}
    like = Like(train.names, train.text, is_indexed(keys))
    held = {name: read_source(one, model, like, digest, separate) for name, one in wanted.items()}
    return Source(train, held, keys, digest, _copies(held, digest), passed=False)


def _read_passed(arrays: Mapping[str, Any], model: str, more: Sequence[str]) -> Source:
    _check_keys(arrays, more)
    digest = Digest()
    train = _read_train(arrays, model, digest)
    like = Like(train.names, train.text, strict=False)
    test = arrays.get("test")
    pairs = {} if arrays.get("val") is None else {"val": ("'val'", arrays["val"])}
    if isinstance(test, Mapping):
        for name, pair in test.items():
            if name in ("train", "val"):
                raise DataError(f"data['test'][{name!r}]: is another split's name; choose one")
            pairs[str(name)] = (f"'test'][{name!r}", pair)
    elif test is not None:
        pairs["test"] = ("'test'", test)
    held = {name: _read_pair(pair, None, key, model, like) for name, (key, pair) in pairs.items()}
    for frame in held.values():
        digest.frame(frame)
    return Source(train, held, {}, digest, _copies(held, digest), passed=True)


def _copies(held: Mapping[str, Frame], digest: Digest) -> frozenset[str]:
    """The splits whose source, read in this order after the training source, is that again."""
    pairs = zip(held, digest.repeats_first(), strict=True)
    return frozenset(name for name, is_copy in pairs if is_copy)


def _read_train(arrays: Mapping[str, Any], model: str, digest: Digest) -> Frame:
    frame = _read_pair(arrays["train"], arrays.get("weight"), "'train'", model, None)
    if arrays.get("group") is not None:
        where = "data['group']"
        check_alignment(arrays["train"][0], arrays["group"], where, "data['train'] X")
        frame = with_group(frame, host_array(arrays["group"], where), where)
    digest.frame(frame)
    return frame


def _read_pair(pair: Any, weight: Any, key: str, model: str, like: Like | None) -> Frame:
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise DataError(f"data[{key}]: is a {type(pair).__name__}; a pair (X, y) is right")
    X, y = pair
    x_where, y_where = f"data[{key}] X", f"data[{key}] y"
    check_alignment(X, y, y_where, x_where)
    check_alignment(X, weight, "data['weight']", x_where)
    y = host_array(y, y_where)
    frame = features_frame(X, like, x_where)
    s = None if weight is None else host_array(weight, "data['weight']")
    return with_target(
        frame,
        y,
        s,
        target_where=y_where,
        weight_where="data['weight']",
        labels=MODELS[model].has_classes,
    )


def _check_keys(arrays: Mapping[str, Any], more: Sequence[str]) -> None:
    known = ["train", "val", "test", "weight", "group", *more]
    for key in arrays:
        if key not in known:
            raise DataError(f"data[{key!r}]: is not read; {nearest_name(str(key), known)}")
    if "train" not in arrays:
        raise DataError("data: has no 'train'; {'train': (X, y)} is the least")


def _keys(source: Any) -> Mapping[str, str]:
    """Names to read another file by, see `Encoder.keys`."""
    if isinstance(source, str):
        return {}
    facts = SOURCES[source.form]
    values = {key: getattr(source, key) for key in facts.named}
    keys = {key: value for key, value in values.items() if value is not None}
    return {source.form: "x"} if facts.indexed else keys
