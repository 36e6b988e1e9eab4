"""Results of comparing sets of images, with what is needed to compare them with other results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dmzrep._base._validation import short_repr


@dataclass(frozen=True)
class FeatureSource:
    """Origin of features; distances between features of different sources are not comparable.

    Parameters
    ----------
    name : str
        Name of the extractor.
    sha256 : str or None, default=None
        Of its weights; None where it has none, or they are unknown.
    resize : str or None, default=None
        How images are resized for the extractor; None where they are not.
    """

    name: str
    sha256: str | None = None
    resize: str | None = None


@dataclass(frozen=True)
class DistanceResult:
    """A comparison of two sets of images, with everything that its scores depend on.

    Parameters
    ----------
    scores : dict of str to float
        Scores by name, the most important one first.
    source : FeatureSource
        Origin of the features that were compared.
    n_reference, n_generated : int
        Numbers of images. Compare scores at equal numbers only.
    settings : dict, default={}
        Settings of the measure, such as the number of neighbours.
    about : dict, default={}
        Anything else to keep, such as sampler, steps and seed.

    Examples
    --------
    >>> from dmzrep.metrics import DistanceResult, FeatureSource
    >>> source = FeatureSource("pixels")
    >>> result = DistanceResult({"frechet_distance": 1.5}, source, 100, 50, about={"seed": 0})
    >>> float(result)
    1.5
    >>> result.to_dict()["extractor"], result.to_dict()["seed"]
    ('pixels', 0)
    """

    scores: dict[str, float]
    source: FeatureSource
    n_reference: int
    n_generated: int
    settings: dict[str, Any] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.about, Mapping):
            raise TypeError(f"about must be a dict of names and values, got {short_repr(self.about)}.")
        taken = set(self._own())
        twice = sorted(taken.intersection(self.about))
        if twice:
            raise ValueError(f"about must not use the names {twice} of the result's own fields; rename them.")

    @property
    def value(self) -> float:
        """The first score."""
        return next(iter(self.scores.values()))

    def __float__(self) -> float:
        return self.value

    def to_dict(self) -> dict[str, Any]:
        """Return everything as one flat dictionary, for a line of JSON or of a table."""
        return self._own() | dict(self.about)

    def _own(self) -> dict[str, Any]:
        return {
            **self.scores,
            "extractor": self.source.name,
            "extractor_sha256": self.source.sha256,
            "resize": self.source.resize,
            "n_reference": self.n_reference,
            "n_generated": self.n_generated,
            **self.settings,
        }
