"""Edit attributes of images through their codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from dmzrep._base._validation import as_numbers, check_bool, check_choice
from dmzrep.codes._protocol import block_seeds, code_probabilities, decode_codes
from dmzrep.data import read_all
from dmzrep.diffusion._grids import check_start
from dmzrep.editing._blending import keep_unchanged
from dmzrep.editing._checks import check_parameters, check_sweep, finite_strengths
from dmzrep.editing._directions import AttributeProbes, attribute_table, fit_probes
from dmzrep.editing._moves import flip, shift, wanted_log_odds
from dmzrep.editing._report import edit_report
from dmzrep.estimator._inputs import NOISES


class AttributeEditor(BaseEstimator):
    """Change attributes of images, such as a smile, through their codes.

    A linear probe for each attribute is fitted to codes of labelled images. An edit moves an image's
    code until the probe gives wanted log-odds, and decodes it.

    Parameters
    ----------
    encoder : DMZEncoder, or any object with `transform` and `inverse_transform`
        Fitted. The editor does not change it.
    mode : {"flip", "threshold", "soft"}, default="flip"
        How codes move. ``"flip"`` flips the fewest bits that reach the wanted log-odds, those of most
        weight first. ``"soft"`` goes along the probe's direction and decodes what it comes to, clipped
        to [0, 1]; ``"threshold"`` rounds that to bits, as the paper does, and may fall short.
    features : {"bits", "probabilities"}, default="bits"
        Codes that probes are fitted to, and from which ``"soft"`` and ``"threshold"`` moves begin.
    C : float, default=4.0
        Inverse strength of the probes' L2 penalty, against the mean loss of the labelled rows. A low one
        moves all bits along that go with an attribute, as decoders need; a high one only those that
        tell it from others. Probabilities are calibrated afterwards.
    hold_weight : float, default=1.0
        Price in ``"flip"`` of a unit of log-odds by which a held attribute moves.
    reach : float or None, default=1.0
        How far edits go at most, whatever the strength: to the log-odds that this share of the labelled
        rows with (or without) the attribute do not exceed. Beyond are codes that no picture has, which
        decode badly. None sets no limit.

    Attributes
    ----------
    attributes_ : list of str
        Names of the attributes.
    probes_ : AttributeProbes
        Weights and intercepts.
    labels_ : DataFrame
        A row for each attribute: labelled rows, ones among them, and the least and the most log-odds
        that edits go to.
    latent_dim_ : int
        Bits of a code.

    See Also
    --------
    dmzrep.editing._interpolation.interpolate : Walk from one image to another.

    References
    ----------
    M. Proszewska, N. Malkin, N. Siddharth, "On Designing Diffusion Autoencoders for Efficient Generation
    and Representation Learning", 2025, arXiv 2506.00136 (moves along a classifier's direction).

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.editing import AttributeEditor
    >>> class Pixels:
    ...     def transform(self, X):
    ...         return X
    ...     def inverse_transform(self, Z):
    ...         return Z
    >>> X = np.random.default_rng(0).integers(0, 2, (100, 4))
    >>> editor = AttributeEditor(Pixels()).fit(X, X[:, 2], names=["third"])
    >>> images, codes = editor.edit(np.zeros((1, 4)), "third", 1.0)
    >>> codes
    array([[0, 0, 1, 0]], dtype=uint8)
    """

    def __init__(self, encoder, *, mode="flip", features="bits", C=4.0, hold_weight=1.0, reach=1.0):
        self.encoder = encoder
        self.mode = mode
        self.features = features
        self.C = C
        self.hold_weight = hold_weight
        self.reach = reach

    def fit(self, X: Any, Y: Any, *, names: Sequence[str] | None = None) -> Self:
        """Fit a probe for each attribute; 100 labelled rows serve for an attribute that the code holds.

        Parameters
        ----------
        X : array-like, table or map-style dataset of n rows
            Images, as the encoder takes them.
        Y : DataFrame, Series or array-like of shape (n,) or (n, n_attributes)
            Zeros and ones (or False and True, -1 and 1); NaN where unknown, which is skipped attribute
            by attribute.
        names : sequence of str, optional
            Names of the attributes; None takes those of a DataFrame or Series, else attribute_0, ...

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Y has another length than X, an attribute that is not binary or has a single class, or
            names that repeat; or a parameter is not as it should be.
        TypeError
            The encoder cannot encode and decode.
        """
        check_parameters(self)
        codes = code_probabilities(self.encoder, X)
        labels = attribute_table(Y, len(codes), names)
        self.probes_: AttributeProbes = fit_probes(self._features(codes), labels, self.C)
        least, most = self.probes_.limits(self._features(codes), labels, self.reach)
        self.attributes_ = list(labels.columns)
        self.labels_ = pd.DataFrame(
            {"labelled": labels.count(), "ones": labels.sum().astype(int), "least": least, "most": most}
        )
        self.latent_dim_ = codes.shape[1]
        return self

    def predict_proba(self, X: Any) -> pd.DataFrame:
        """Probability of each attribute by the probes.

        Parameters
        ----------
        X : array-like, table or map-style dataset
            Images.

        Returns
        -------
        DataFrame of shape (n, n_attributes)
        """
        from scipy.special import expit

        log_odds = self._probes().log_odds(self._features(self._encode(X)))
        return pd.DataFrame(expit(log_odds), columns=self.attributes_)

    def edit(
        self,
        X: Any,
        attribute: str | Mapping[str, float],
        strength: float = 4.0,
        *,
        hold: Sequence[str] | str = (),
        relative: bool = False,
        keep: bool = True,
        noise: str | None = None,
        start: float | None = None,
        n_steps: int | None = None,
        random_state: int | np.random.RandomState | None = 0,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Change attributes of images.

        Parameters
        ----------
        X : array-like, table or map-style dataset of n rows
            Images.
        attribute : str or dict
            The attribute; or several, with the strength of each.
        strength : float, default=4.0
            Log-odds of the attribute that the code is to reach, as far as `reach` allows: positive adds
            it, negative removes it, zero changes nothing; 4 is a probability of 0.98. Images that are
            there already stay.
        hold : sequence of str or "others", default=()
            Attributes to keep: moves are made orthogonal to their directions, or flips pay for moving
            them. ``"others"`` is all but those edited.
        relative : bool, default=False
            Whether strength counts multiples of an image's own distance to the boundary, as the paper's
            alpha does: -1 goes to the boundary, -2 to its other side, 1 doubles the distance.
        keep : bool, default=True
            Whether to keep X's own pixels where pictures of its code before and after the edit, drawn
            from the same noise, agree. False gives what the edited code decodes to.
        noise : {"random", "inverted"}, optional
            ``"inverted"`` begins from the noise that X comes from, so that what is not edited stays.
            See `DMZEncoder.inverse_transform`.
        start : float, optional
            Begin at this share of the timesteps, from X noised so far.
        n_steps : int, optional
            Denoising steps.
        random_state : int, RandomState or None, default=0
            Decides random noise: an image has the same at all strengths.

        Returns
        -------
        images : ndarray of shape (n, *row_shape)
            In the layout of X.
        codes : ndarray of shape (n, latent_dim)
            Their codes: uint8 bits, or float64 in [0, 1] with ``mode="soft"``.

        Raises
        ------
        NotFittedError
            `fit` was not called.
        ValueError
            An attribute is unknown (the nearest name is suggested), or both edited and held; or a
            strength is not finite.
        """
        strengths = finite_strengths(attribute, strength)
        decoding = {"noise": noise, "start": start, "n_steps": n_steps}
        images, codes = self._edits(X, [strengths], hold, relative, keep, decoding, random_state)
        return images[0], codes[0]

    def sweep(
        self, X: Any, attribute: str, strengths: Sequence[float], **options: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        """Edit images at several strengths, from the same noise.

        Parameters
        ----------
        X : array-like, table or map-style dataset of n rows
            Images.
        attribute : str
            The attribute.
        strengths : sequence of float
            As in `edit`; at 0 images stay, or with ``keep=False`` are decoded from their own codes.
        **options
            Further options of `edit`.

        Returns
        -------
        images : ndarray of shape (n_strengths, n, *row_shape)
        codes : ndarray of shape (n_strengths, n, latent_dim)
        """
        check_sweep(strengths, options)
        decoding = {name: options.get(name) for name in ("noise", "start", "n_steps")}
        return self._edits(
            X,
            [finite_strengths(attribute, strength) for strength in strengths],
            options.get("hold", ()),
            options.get("relative", False),
            options.get("keep", True),
            decoding,
            options.get("random_state", 0),
        )

    def report(
        self, X: Any, images: Any, codes: np.ndarray, attribute: Any, *, hold: Any = ()
    ) -> pd.DataFrame:
        """Tell how well an edit worked, by the probes.

        Parameters
        ----------
        X, attribute, hold
            What `edit` was given.
        images, codes
            What it gave.

        Returns
        -------
        DataFrame
            A row for each image and attribute, with the columns

            image : number of the image
            attribute : the attribute
            role : "edited", "held" or "other"
            before, after : its probability under the codes of X, and under the edited codes
            reencoded : its probability under the codes of the edited pictures, encoded again
            changed : whether `after` is on the other side of 0.5 than `before`
            changed_reencoded : the same of `reencoded`
            bits_flipped : bits of the image's code that differ
            bits_returned : bits of the edited code that the edited picture's code agrees with, as a share
            distance : root mean square difference of the picture, in units of X

        See Also
        --------
        dmzrep.editing.edit_summary : Means of these, an attribute a row.
        """
        probes = self._probes()
        names = list(attribute) if isinstance(attribute, Mapping) else [attribute]
        edited, held = self._places(names, hold)
        before, rebuilt = self._encode(X), self._encode(images)
        codes = as_numbers(codes, "codes").astype(np.float64)
        if codes.shape != before.shape or rebuilt.shape != before.shape:
            raise ValueError(
                f"X, images and codes must have the same rows: their codes have shapes {before.shape}, "
                f"{rebuilt.shape} and {codes.shape}. Pass what edit was given, and what it gave."
            )
        rows = read_all(X), read_all(images, "images")
        roles = np.full(len(probes.names), "other", dtype=object)
        roles[held], roles[edited] = "held", "edited"
        return edit_report(probes, roles, self._features(before), codes, self._features(rebuilt), *rows)

    # -- inside --------------------------------------------------------------------------------

    def _probes(self) -> AttributeProbes:
        check_is_fitted(self, "probes_")
        check_parameters(self)
        return self.probes_

    def _encode(self, X: Any) -> np.ndarray:
        codes = code_probabilities(self.encoder, X)
        if codes.shape[1] != self.latent_dim_:
            raise ValueError(
                f"The encoder gives codes of {codes.shape[1]} bits, but the probes were fitted to "
                f"{self.latent_dim_}. Call fit again after a change of the encoder."
            )
        return codes

    def _features(self, probabilities: np.ndarray) -> np.ndarray:
        return (probabilities > 0.5).astype(np.float64) if self.features == "bits" else probabilities

    def _places(self, names: Sequence[str], hold: Any) -> tuple[np.ndarray, np.ndarray]:
        """Places of the edited attributes and of those held."""
        edited = self.probes_.places(names, "attribute")
        if isinstance(hold, str) and hold == "others" and "others" not in self.attributes_:
            return edited, np.setdiff1d(np.arange(len(self.attributes_)), edited)
        held = self.probes_.places([hold] if isinstance(hold, str) else hold, "hold")
        both = [self.attributes_[place] for place in np.intersect1d(edited, held)]
        if both:
            raise ValueError(f"{both} cannot be both edited and held. Take them out of hold.")
        return edited, held

    def _edits(
        self,
        X: Any,
        edits: Sequence[Mapping[str, float]],
        hold: Any,
        relative: bool,
        keep: bool,
        decoding: dict[str, Any],
        random_state: Any,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Edit the same images in several ways, and decode all in one call."""
        self._probes()
        relative, keep = check_bool(relative, "relative"), check_bool(keep, "keep")
        check_choice("noise", decoding["noise"], (*NOISES, None))
        start = decoding["start"]
        if start is not None:
            check_start(start)
        places = [self._places(list(strengths), hold) for strengths in edits]
        probabilities = self._encode(X)
        codes = np.stack(
            [
                self._moved(probabilities, list(strengths.values()), edited, held, relative)
                for strengths, (edited, held) in zip(edits, places, strict=True)
            ]
        )
        rows = read_all(X)
        # With `keep`, the codes before the edit are one more block.
        blocks = [*codes, *([self._origin(probabilities)] if keep else [])]
        if decoding["noise"] not in (None, "random") or start not in (None, 1.0):
            decoding = decoding | {"like": np.concatenate([rows] * len(blocks))}
        seeds = block_seeds(random_state, len(rows), len(blocks))
        images = decode_codes(self.encoder, np.concatenate(blocks), random_state=seeds, **decoding)
        images = images.reshape(len(blocks), len(rows), *images.shape[1:])
        if keep:
            kept = [keep_unchanged(self.encoder, rows, images[-1], edited) for edited in images[:-1]]
            images = np.stack(kept)
        return images, codes

    def _origin(self, probabilities: np.ndarray) -> np.ndarray:
        """Codes from which moves begin."""
        if self.mode == "soft":
            return self._features(probabilities)
        return (probabilities > 0.5).astype(np.float64)

    def _moved(
        self,
        probabilities: np.ndarray,
        strengths: Sequence[float],
        edited: np.ndarray,
        held: np.ndarray,
        relative: bool,
    ) -> np.ndarray:
        bits = probabilities > 0.5
        origin = bits.astype(np.float64) if self.mode == "flip" else self._features(probabilities)
        current = self.probes_.log_odds(origin)[:, edited]
        limits = self.labels_[["least", "most"]].to_numpy()[edited]
        wanted = [
            wanted_log_odds(current[:, i], strength, relative=relative, limits=limits[i])
            for i, strength in enumerate(strengths)
        ]
        change = np.stack(wanted, axis=1) - current
        directions = self.probes_.weights[edited], change, self.probes_.weights[held]
        if self.mode == "flip":
            return flip(bits, *directions, hold_weight=self.hold_weight).astype(np.uint8)
        moved = shift(origin, *directions)
        return (moved > 0.5).astype(np.uint8) if self.mode == "threshold" else np.clip(moved, 0.0, 1.0)
