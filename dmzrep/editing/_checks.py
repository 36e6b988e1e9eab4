"""Checks of what users pass to the editor."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from dmzrep._base._validation import check_choice, is_finite, short_repr
from dmzrep.codes._protocol import check_codec
from dmzrep.estimator._inputs import NOISES

MODES = ("flip", "threshold", "soft")
FEATURES = ("bits", "probabilities")


def check_parameters(editor: Any) -> None:
    """Raise unless an editor's parameters are valid."""
    check_codec(editor.encoder)
    for name, legal in (("mode", MODES), ("features", FEATURES)):
        check_choice(name, getattr(editor, name), legal)
    if not is_finite(editor.C) or editor.C <= 0.0:
        raise ValueError(f"C must be a number above 0, got {short_repr(editor.C)}.")
    if not is_finite(editor.hold_weight) or editor.hold_weight < 0.0:
        raise ValueError(f"hold_weight must be a number of at least 0, got {short_repr(editor.hold_weight)}.")
    if editor.reach is not None and not (is_finite(editor.reach) and 0.0 <= editor.reach <= 1.0):
        raise ValueError(f"reach must be in [0, 1] or None, got {short_repr(editor.reach)}.")


def decoding_options(noise: str, strength: float, sampling: Mapping[str, Any]) -> dict[str, Any]:
    """Check what decoding begins from; return the options to pass on, without those at their defaults.

    Decoders of other kinds than `DMZEncoder` need not know options that nobody uses.
    """
    check_choice("noise", noise, NOISES)
    if not is_finite(strength) or not 0.0 < strength <= 1.0:
        raise ValueError(
            f"strength must be a number in (0, 1], got {short_repr(strength)}: the share of the timesteps to "
            "decode through, 1 being from noise alone. How far to edit is `amount`."
        )
    options = dict(sampling)
    if noise != "random":
        options["noise"] = noise
    if strength != 1.0:
        options["strength"] = float(strength)
    return options


def finite_amounts(attribute: Any, amount: Any) -> dict[Any, float]:
    """Return the amount for each attribute; raise where one is not finite."""
    if not isinstance(attribute, (Mapping, Hashable)):
        raise TypeError(
            f"attribute must be the name of an attribute, or a dict, got {short_repr(attribute)}."
        )
    amounts = dict(attribute) if isinstance(attribute, Mapping) else {attribute: amount}
    if not amounts:
        raise ValueError("attribute must name at least one attribute, got an empty dict.")
    for name, value in amounts.items():
        if not is_finite(value):
            raise ValueError(
                f"amount must be a finite number, got {short_repr(value)} for {name!r}. Amounts are "
                "log-odds: 3 adds an attribute, -3 removes it."
            )
    return {name: float(value) for name, value in amounts.items()}
