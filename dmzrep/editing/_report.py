"""Tables that evaluate an edit."""

import math

import numpy as np
import pandas as pd
from scipy.special import expit

from dmzrep._base._validation import short_repr
from dmzrep.editing._directions import AttributeProbes


def edit_report(
    probes: AttributeProbes,
    roles: np.ndarray,
    before: np.ndarray,
    codes: np.ndarray,
    reencoded: np.ndarray,
    originals: np.ndarray,
    images: np.ndarray,
) -> pd.DataFrame:
    """Return the table of `AttributeEditor.report`.

    `roles` has one entry per attribute. The codes are those of the originals, edited, and of the edited
    images.
    """
    n, n_attributes = len(before), len(probes.names)
    probability = {
        name: expit(probes.log_odds(values))
        for name, values in (("before", before), ("after", codes), ("reencoded", reencoded))
    }
    table = pd.DataFrame(
        {
            "image": np.repeat(np.arange(n), n_attributes),
            "attribute": np.tile(np.array(probes.names, dtype=object), n),
            "role": np.tile(roles, n),
            **{name: values.ravel() for name, values in probability.items()},
        }
    )
    present = table["before"] > 0.5
    table["changed"] = (table["after"] > 0.5) != present
    table["changed_reencoded"] = (table["reencoded"] > 0.5) != present
    bits, old, new = codes > 0.5, before > 0.5, reencoded > 0.5
    difference = (images.astype(np.float64) - originals.astype(np.float64)).reshape(
        n, math.prod(originals.shape[1:])
    )
    for name, values in (
        ("bits_flipped", (bits != old).sum(axis=1)),
        ("bits_returned", (bits == new).mean(axis=1)),
        ("distance", np.sqrt((difference**2).mean(axis=1))),
    ):
        table[name] = np.repeat(values, n_attributes)
    return table


def edit_summary(report: pd.DataFrame) -> pd.DataFrame:
    """Return the means of a report over images.

    Parameters
    ----------
    report : DataFrame
        From `AttributeEditor.report`.

    Returns
    -------
    DataFrame
        Indexed by attribute: those edited first, then those held; the others by how often they changed. The
        columns are those of the report, without "image".

    See Also
    --------
    AttributeEditor.report : The report.
    """
    needed = ("image", "attribute", "role", "changed_reencoded")
    if not isinstance(report, pd.DataFrame) or any(name not in report for name in needed):
        raise ValueError(f"report must be a result of AttributeEditor.report, got {short_repr(report)}.")
    means = report.drop(columns="image").groupby(["role", "attribute"], sort=False).mean().reset_index("role")
    order = means["role"].map({"edited": 0, "held": 1, "other": 2})
    means = means.assign(order=order).sort_values(["order", "changed_reencoded"], ascending=[True, False])
    return means.drop(columns="order")
