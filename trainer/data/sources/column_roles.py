"""Roles of a table's columns (features, target, weight, group), by the spec's keys."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from trainer.data.frame import Like
from trainer.errors import DataError
from trainer.text.labels import nfc
from trainer.text.names import cut_apart
from trainer.text.printable import SHOWN, quote
from trainer.text.suggest import LISTED, nearest_name

_MOST_ABSENT = 40  # columns whose names are shown


class Roles(NamedTuple):
    """Which column is what, as the spec says it."""

    target: tuple[str, ...] = ()
    columns: tuple[str, ...] | None = None
    drop: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    weight: str | None = None
    group: str | None = None
    separate: bool = False
    """Whether each of several targets is read as one alone would be."""
    dates: bool = False
    """Whether columns that are read as text may hold dates and times."""

    def composed(self) -> Roles:
        """The same roles with names in Unicode's composed form, in which columns are read."""
        return Roles(
            _composed(self.target),
            None if self.columns is None else _composed(self.columns),
            _composed(self.drop),
            _composed(self.categorical),
            self.weight and nfc(self.weight),
            self.group and nfc(self.group),
            self.separate,
            self.dates,
        )


def _composed(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(map(nfc, names))


def feature_names(
    names: Sequence[str], roles: Roles, like: Like | None, where: str, index: Sequence[str] = ()
) -> tuple[str, ...]:
    """Names of the feature columns, in order: those of `like`, or what the roles choose.

    Args:
        names: of all columns.
        roles: the spec's words.
        like: the training source's columns.
        where: for messages.
        index: columns that are a row index: features where `roles.columns` names them alone.

    Raises:
        DataError: a name that is not there (with the nearest one), listed twice, or under two keys
            that exclude each other; no feature left.
    """
    known = frozenset(names)
    for key, listed in (
        ("target", roles.target),
        ("weight", (roles.weight,) if roles.weight else ()),
        ("group", (roles.group,) if roles.group else ()),
        *(
            ()
            if like
            else (
                ("columns", roles.columns or ()),
                ("drop", roles.drop),
                ("categorical", roles.categorical),
            )
        ),
    ):
        for name in listed:
            if name not in known:
                raise DataError(
                    f"{where}: {key}: there is no column {quote(name)}; {nearest_name(name, names)}"
                )
        if len(set(listed)) < len(listed):
            name = next(name for i, name in enumerate(listed) if name in listed[:i])
            raise DataError(f"{where}: {key}: lists {quote(name)} twice; once is right")
    if like is not None:
        return _matched(names, roles, like, where, index)
    return _chosen([name for name in names if name not in index], roles, where)


def _matched(
    names: Sequence[str], roles: Roles, like: Like, where: str, index: Sequence[str]
) -> tuple[str, ...]:
    """The columns of the training source; by position where it was a matrix without names."""
    known = frozenset(names)
    absent = [name for name in like.names if name not in known]
    others = {*roles.target, roles.weight, *roles.drop, *index}
    if not absent:
        more = [name for name in names if name not in others and name not in like.names]
        if more and like.whole and roles.columns is None:
            raise DataError(
                f"{where}: has a column {quote(more[0])}, which the first file does not have; the"
                " same columns are right, or `columns` with those to take"
            )
        return like.names
    if len(absent) < len(like.names) or not like.nameless:
        raise DataError(f"{where}: {_absent(absent, names)}")
    left = tuple(name for name in names if name not in others)
    if len(left) != len(like.names):
        raise DataError(
            f"{where}: has {len(left)} columns, the training source has {len(like.names)} without"
            " names; as many, in the same order, are right"
        )
    return left


def _absent(absent: Sequence[str], names: Sequence[str]) -> str:
    """Which columns of the training source are not there, all of them, and what there is."""
    if len(absent) == 1:
        return (
            f"there is no column {quote(absent[0])}, which the training source has;"
            f" {nearest_name(absent[0], names)}"
        )
    some, there = absent[:_MOST_ABSENT], names[:LISTED]
    shown = list(map(repr, cut_apart([*some, *there], SHOWN)))
    more = f" and {len(absent) - _MOST_ABSENT} more" if len(absent) > _MOST_ABSENT else ""
    others = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return (
        f"there are no columns {', '.join(shown[: len(some)])}{more}, which the training source"
        f" has; there are {', '.join(shown[len(some) :])}{others}"
    )


def _chosen(names: Sequence[str], roles: Roles, where: str) -> tuple[str, ...]:
    reserved = dict.fromkeys(roles.target, "target")
    for key, name in (("weight", roles.weight), ("group", roles.group)):
        if name in reserved:
            raise DataError(
                f"{where}: {key}: {quote(name)} is the {reserved[name]}; another column is right"
            )
        if name:
            reserved[name] = key
    for key, listed in (
        ("columns", roles.columns or ()),
        ("drop", roles.drop),
        ("categorical", roles.categorical),
    ):
        for name in listed:
            if name in reserved:
                raise DataError(
                    f"{where}: {key}: {quote(name)} is the {reserved[name]}, no feature;"
                    f" take it out of {key}"
                )
    dropped = frozenset(roles.drop)
    for name in roles.columns or ():
        if name in dropped:
            raise DataError(
                f"{where}: drop: {quote(name)} is listed in columns too; one of them is right"
            )
    chosen = tuple(
        name
        for name in (roles.columns if roles.columns is not None else names)
        if name not in reserved and name not in dropped
    )
    for name in sorted(frozenset(roles.categorical).difference(chosen)):
        raise DataError(
            f"{where}: categorical: {quote(name)} is not among the features; take it out"
        )
    if not chosen:
        raise DataError(f"{where}: no column is left as a feature; at least one is needed")
    return chosen


def wanted_names(features: Sequence[str], roles: Roles) -> list[str]:
    """Names of all columns to read: features, target, weight, group."""
    others = [name for name in (roles.weight, roles.group) if name]
    return list(dict.fromkeys([*features, *roles.target, *others]))


def check_header(
    names: Sequence[str],
    sample: Sequence[Sequence[str]],
    needed: Sequence[str],
    where: str,
    delimiter: str | None = None,
) -> None:
    """Refuse a header that is none, before a column is said to be missing.

    Args:
        names: what was read as the header.
        sample: cells of the first rows.
        needed: names of columns that must be there.
        where: for messages.
        delimiter: between cells of a file to be predicted, for which no key can be said; else None.

    Raises:
        DataError: another separator, or numbers for names.
    """
    if not needed or not set(needed).isdisjoint(names):
        return
    if names and all(map(_is_number, names)):
        cure = "" if delimiter else ", or `header: none`, which calls them x0, x1, …"
        raise DataError(
            f"{where}: the first line holds numbers; a header line with the columns' names is"
            f" right{cure}"
        )
    if len(names) == 1:
        for separator, called, written in _SEPARATORS:
            if separator == " " and max(map(len, sample), default=0) > 1:
                raise DataError(
                    f"{where}: the first line is {quote(names[0])}, one cell, and the rows have"
                    f" {max(map(len, sample))}; take the line out, so that the columns' names come"
                    " first"
                )
            if separator in names[0]:
                cure = f"separator: {written}"
                cells = [cell for row in sample for cell in ",".join(row).split(separator)]
                if separator != "," and any(map(_DECIMAL_COMMA.fullmatch, cells)):
                    cure += ', decimal: ","'
                right = f"`{cure}` is right"
                if delimiter is not None:
                    usual = {mark: words for mark, words, _ in _SEPARATORS}
                    right = f"{usual.get(delimiter, quote(delimiter))} are right, as in training"
                raise DataError(
                    f"{where}: the header is one column, with {called} between names; {right}"
                )


_SEPARATORS = (
    (";", "semicolons", '";"'),
    ("\t", "tabs", '"\\t"'),
    ("|", "bars", '"|"'),
    (",", "commas", '","'),
    (" ", "spaces", '" "'),
)
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d*,\d+\s*")


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True
