"""Checks of what users hand to the editor."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dmzrep.codec import check_codec

MODES = ("flip", "threshold", "soft")
FEATURES = ("bits", "probabilities")
SWEEP_OPTIONS = ("hold", "relative", "keep", "noise", "start", "n_steps", "random_state")


def check_parameters(editor: Any) -> None:
    """Raise unless an editor's parameters are legal."""
    check_codec(editor.encoder)
    for name, legal in (("mode", MODES), ("features", FEATURES)):
        value = getattr(editor, name)
        if value not in legal:
            near = difflib.get_close_matches(str(value), legal, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"{name} must be one of {legal}, got {value!r}.{hint}")
    if not _is_finite(editor.C) or editor.C <= 0.0:
        raise ValueError(f"C must be a number above 0, got {editor.C!r}.")
    if not _is_finite(editor.hold_weight) or editor.hold_weight < 0.0:
        raise ValueError(f"hold_weight must be a number of at least 0, got {editor.hold_weight!r}.")
    if editor.reach is not None and not (_is_finite(editor.reach) and 0.0 <= editor.reach <= 1.0):
        raise ValueError(f"reach must be in [0, 1] or None, got {editor.reach!r}.")


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and value is not True and math.isfinite(value)


def check_sweep(strengths: Sequence[float], options: Mapping[str, Any]) -> None:
    """Raise unless there are strengths and all options are known."""
    if np.ndim(strengths) != 1 or len(strengths) == 0:
        raise ValueError(f"strengths must be a list of at least one number, got {strengths!r}.")
    for name in options:
        if name not in SWEEP_OPTIONS:
            near = difflib.get_close_matches(name, SWEEP_OPTIONS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else f" There are {SWEEP_OPTIONS}."
            raise TypeError(f"sweep has no option {name!r}.{hint}")


def finite_strengths(attribute: Any, strength: Any) -> dict[Any, float]:
    """Give the strength of each attribute; raise where one is not finite."""
    strengths = dict(attribute) if isinstance(attribute, Mapping) else {attribute: strength}
    if not strengths:
        raise ValueError("attribute must name at least one attribute, got an empty dict.")
    for name, value in strengths.items():
        if not _is_finite(value):
            raise ValueError(
                f"strength must be a finite number, got {value!r} for {name!r}. Strengths are log-odds: "
                "3 adds an attribute, -3 removes it."
            )
    return {name: float(value) for name, value in strengths.items()}
