"""Validation of arguments of editing."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np

from dmzrep._base._validation import check_bool, check_choice, check_number, short_repr
from dmzrep.codes._protocol import check_codec, last_step
from dmzrep.estimator import DMZEncoder
from dmzrep.estimator._inputs import NOISES

MODES = ("flip", "threshold", "soft")
FEATURES = ("bits", "probabilities")
#: Explanations of amounts in errors.
_LOG_ODDS = " (log-odds: 3 adds an attribute, -3 removes it)"
_UNLIMITED = ", since the editor was fitted with reach=None, or relative=True: pass an amount"


def check_parameters(editor: Any) -> None:
    """Raise unless an editor's parameters are valid."""
    check_codec(editor.encoder)
    for name, legal in (("mode", MODES), ("features", FEATURES)):
        check_choice(name, getattr(editor, name), legal)
    check_number(editor.C, "C", 0)
    check_number(editor.hold_weight, "hold_weight", 0, closed="left")
    if editor.reach is not None:
        check_number(editor.reach, "reach", 0, 1, "both", " or None")


def decoding_options(
    encoder: Any, noise: str, strength: float, sampling: Mapping[str, Any]
) -> dict[str, Any]:
    """Return checked options of decoding, without those at the defaults of `inverse_transform`.

    ``noise="auto"`` is ``"zero"`` for a `DMZEncoder` that decodes through all timesteps. Other encoders need
    not support options that are not used.
    """
    check_choice("noise", noise, ("auto", *NOISES))
    also = " (the fraction of the timesteps to decode through)"
    check_number(strength, "strength", 0, 1, "right", also)
    options = dict(sampling)
    if noise == "auto":
        noise = "zero" if strength == 1.0 and isinstance(last_step(encoder), DMZEncoder) else "random"
    if noise != "random":
        options["noise"] = noise
    if strength != 1.0:
        options["strength"] = float(strength)
    return options


def check_amounts(editor: Any, attribute: Any, amount: Any, relative: bool) -> dict[Any, float]:
    """Return the amount for each attribute; raise if one is NaN, or infinite where edits are not limited."""
    limits = editor.labels_[["least", "most"]]
    limited = not check_bool(relative, "relative") and bool(np.isfinite(limits).all(axis=None))
    if not isinstance(attribute, (Mapping, Hashable)):
        raise TypeError(
            f"attribute must be the name of an attribute, or a dict, got {short_repr(attribute)}."
        )
    amounts = dict(attribute) if isinstance(attribute, Mapping) else {attribute: amount}
    if not amounts:
        raise ValueError("attribute must name at least one attribute, got an empty dict.")
    for name, value in amounts.items():
        if not (limited and isinstance(value, (float, np.floating)) and np.isinf(value)):
            check_number(value, f"amount of {name!r}", also=_LOG_ODDS if limited else _UNLIMITED)
    return {name: float(value) for name, value in amounts.items()}
