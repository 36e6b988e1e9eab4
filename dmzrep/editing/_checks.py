"""Checks of what users hand to the editor."""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from dmzrep._base._validation import as_array, check_choice, is_finite, short_repr
from dmzrep.codes._protocol import check_codec

MODES = ("flip", "threshold", "soft")
FEATURES = ("bits", "probabilities")
SWEEP_OPTIONS = ("hold", "relative", "keep", "noise", "start", "n_steps", "random_state")


def check_parameters(editor: Any) -> None:
    """Raise unless an editor's parameters are legal."""
    check_codec(editor.encoder)
    for name, legal in (("mode", MODES), ("features", FEATURES)):
        check_choice(name, getattr(editor, name), legal)
    if not is_finite(editor.C) or editor.C <= 0.0:
        raise ValueError(f"C must be a number above 0, got {short_repr(editor.C)}.")
    if not is_finite(editor.hold_weight) or editor.hold_weight < 0.0:
        raise ValueError(f"hold_weight must be a number of at least 0, got {short_repr(editor.hold_weight)}.")
    if editor.reach is not None and not (is_finite(editor.reach) and 0.0 <= editor.reach <= 1.0):
        raise ValueError(f"reach must be in [0, 1] or None, got {short_repr(editor.reach)}.")


def check_sweep(strengths: Sequence[float], options: Mapping[str, Any]) -> None:
    """Raise unless there are strengths and all options are known."""
    if as_array(strengths, "strengths").ndim != 1 or len(strengths) == 0:
        raise ValueError(f"strengths must be a list of at least one number, got {short_repr(strengths)}.")
    for name in options:
        if name not in SWEEP_OPTIONS:
            near = difflib.get_close_matches(name, SWEEP_OPTIONS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else f" There are {SWEEP_OPTIONS}."
            raise TypeError(f"sweep has no option {name!r}.{hint}")


def finite_strengths(attribute: Any, strength: Any) -> dict[Any, float]:
    """Give the strength of each attribute; raise where one is not finite."""
    if not isinstance(attribute, (Mapping, Hashable)):
        raise TypeError(
            f"attribute must be the name of an attribute, or a dict, got {short_repr(attribute)}."
        )
    strengths = dict(attribute) if isinstance(attribute, Mapping) else {attribute: strength}
    if not strengths:
        raise ValueError("attribute must name at least one attribute, got an empty dict.")
    for name, value in strengths.items():
        if not is_finite(value):
            raise ValueError(
                f"strength must be a finite number, got {short_repr(value)} for {name!r}. Strengths "
                "are log-odds: "
                "3 adds an attribute, -3 removes it."
            )
    return {name: float(value) for name, value in strengths.items()}
