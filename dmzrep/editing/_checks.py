"""Checks of what users hand to the editor."""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from dmzrep._base._validation import as_array, check_choice, check_number, short_repr
from dmzrep.codes._protocol import check_codec

MODES = ("flip", "threshold", "soft")
FEATURES = ("bits", "probabilities")
SWEEP_OPTIONS = ("hold", "relative", "keep", "noise", "start", "n_steps", "random_state")


def check_parameters(editor: Any) -> None:
    """Raise unless an editor's parameters are legal."""
    check_codec(editor.encoder)
    for name, legal in (("mode", MODES), ("features", FEATURES)):
        check_choice(name, getattr(editor, name), legal)
    check_number(editor.C, "C", 0)
    check_number(editor.hold_weight, "hold_weight", 0, closed="left")
    if editor.reach is not None:
        check_number(editor.reach, "reach", 0, 1, "both", " or None")


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
        check_number(value, f"strength of {name!r}", also=" (log-odds: 3 adds an attribute, -3 removes it)")
    return {name: float(value) for name, value in strengths.items()}
