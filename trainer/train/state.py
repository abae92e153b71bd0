"""The state of a stack: a flat record of named arrays; copies and moves are loops over its fields.

Arrays with a number for every weight are on the device, numbers of a column on the host.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, make_dataclass, replace
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np

from trainer.text.saved import Saved

Array = Any
Flags = np.ndarray[Any, np.dtype[np.bool_]]
PARAMETERS = ("weights", "bias")


class PerColumn(Protocol):
    """A dataclass each of whose fields is a (K,) array on the host."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def fault(self, step: int) -> str | None:
        """Say why these cannot be numbers of so many steps; None if they can."""


@dataclass
class NoProgress:
    """What a first-order stack knows of its columns beside their arrays: nothing."""

    def fault(self, step: int) -> str | None:
        """Say that there is nothing to be wrong."""
        return None


Progress = TypeVar("Progress", bound=PerColumn)


def take_columns(progress: Progress, columns: Any) -> Progress:
    """The same numbers of some of the columns."""
    chosen = {one.name: getattr(progress, one.name)[columns] for one in fields(progress)}
    return replace(progress, **chosen)


@dataclass
class State(Generic[Progress]):
    """K columns after `step` steps.

    Attributes:
        step: steps taken, from 0.
        arrays: by name. Of steps of an optimizer: "parameters" (D + 1, C, K), the weights and below
            them the bias, and each of its slots, of the same shape. Of a solver: "weights"
            (D, C, K), "bias" (C, K) and its own.
        live: (K,) on the host: False for a column that has been stopped and no longer moves.
        progress: what the stack keeps of each column, (K,) arrays on the host.
    """

    step: int
    progress: Progress
    arrays: dict[str, Array] = field(default_factory=dict)
    live: Flags = field(default_factory=lambda: np.ones(1, bool))

    def moved(self, move: Callable[[Array], Array]) -> State[Progress]:
        """The state with each array moved: to the host, or to a device."""
        return replace(self, arrays={name: move(array) for name, array in self.arrays.items()})

    def take(self, columns: Any, take: Callable[[Array], Array]) -> State[Progress]:
        """The state of some of the columns; `take` picks them from the last axis of an array."""
        progress = take_columns(self.progress, columns)
        return replace(self.moved(take), progress=progress, live=self.live[columns])

    def saved(self, to_host: Callable[[Array], Array]) -> Saved:
        """A record of it, for `restored_state`; of one whose arrays are gone little is left."""
        arrays = {name: to_host(array) for name, array in self.arrays.items()}
        kept = fields(self.progress) if arrays else ()
        progress = {one.name: getattr(self.progress, one.name) for one in kept}
        return {"step": self.step, "live": self.live, "arrays": arrays, "progress": progress}

    @property
    def weights(self) -> Array:
        """The weights (D, C, K)."""
        whole = self.arrays.get("parameters")
        return self.arrays["weights"] if whole is None else whole[:-1]

    @property
    def bias(self) -> Array:
        """The bias (C, K)."""
        whole = self.arrays.get("parameters")
        return self.arrays["bias"] if whole is None else whole[-1]


AnyState = State[Any]


def restored_state(saved: Saved) -> AnyState:
    """The state that a record is of, with its arrays on the host.

    Progress has the fields that it had, whatever its class was: nobody asks for more.
    """
    numbers = saved.get("progress", {})
    progress = make_dataclass("Progress", numbers)(**numbers)
    return State(saved["step"], progress, saved.get("arrays", {}), saved["live"])


def check_fits(state: AnyState, start: AnyState) -> None:
    """Check that a state is one of a stack: what is compiled trusts shapes and types.

    And loops trust counts to end.

    Args:
        state: maybe somebody's work.
        start: the stack's own, at any weights.

    Raises:
        ValueError: it is not.
    """
    if type(state.step) is not int or state.step < 0:
        raise ValueError("the state has not the steps of a stack")
    right, layout = _layout(start), _layout(state)
    if wrong := [name for name in right | layout if right.get(name) != layout.get(name)]:
        raise ValueError(f"the state has not the {wrong[0]!r:.80} of its stack")
    found = {one.name: getattr(state.progress, one.name) for one in fields(state.progress)}
    if why := replace(start.progress, **found).fault(state.step):
        raise ValueError(why)


def _layout(state: AnyState) -> dict[str, tuple[object, object]]:
    """{name: (shape, dtype)} of all arrays of a state, on the host or on a device."""
    progress = {one.name: getattr(state.progress, one.name) for one in fields(state.progress)}
    arrays = {**state.arrays, **progress, "live": state.live}
    return {n: (getattr(a, "shape", None), getattr(a, "dtype", None)) for n, a in arrays.items()}
