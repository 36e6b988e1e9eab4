"""Edit attributes of images through their codes."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from dmzrep._base._isolation import isolated
from dmzrep._base._validation import as_array, as_numbers, check_bool, short_repr
from dmzrep.codes._labels import position_of, read_binary_labels
from dmzrep.codes._protocol import block_seeds, code_probabilities, decode_codes
from dmzrep.data import read_all
from dmzrep.editing._blending import keep_unchanged
from dmzrep.editing._checks import check_amounts, check_parameters, decoding_options
from dmzrep.editing._directions import AttributeProbes, fit_probes, flip, shift, target_log_odds
from dmzrep.editing._report import edit_report


class AttributeEditor(BaseEstimator):
    """Change attributes of images, such as a smile, through their codes.

    A linear probe per attribute is fitted to codes of labelled images. An edit moves the code of an image
    until the probe's log-odds reach a target value, and decodes it.

    Parameters
    ----------
    encoder : DMZEncoder, or any object with `transform` and `inverse_transform`
        Fitted. It is not changed.
    mode : {"flip", "threshold", "soft"}, default="flip"
        How codes move. ``"flip"`` flips as few bits as are needed to reach the target log-odds, those with
        the largest weights first. ``"soft"`` moves along the probe's direction, clipped to [0, 1];
        ``"threshold"`` rounds the result to bits, as in the paper, and may fall short.
    features : {"bits", "probabilities"}, default="bits"
        Codes that probes are fitted to, and that ``"soft"`` and ``"threshold"`` move.
    C : float, default=0.4
        Inverse strength of the probes' L2 penalty, relative to the mean loss of the labelled samples. A low
        value moves all bits that correlate with an attribute, as decoders need; a high value only those that
        separate it from others. Probabilities are calibrated afterwards.
    hold_weight : float, default=1.0
        Penalty in ``"flip"`` per unit of log-odds by which a held attribute changes.
    reach : float or None, default=0.95
        Edits stop at this quantile of the log-odds of labelled samples with (or without) the attribute, where
        it is clear; more extreme codes change more of the image. If None, edits are not limited.

    Attributes
    ----------
    attributes_ : list of str
        Names of the attributes.
    probes_ : AttributeProbes
        Weights and intercepts.
    labels_ : DataFrame
        One row per attribute: number of labelled samples, number of ones, and the smallest and largest
        log-odds that edits reach.
    latent_dim_ : int
        Bits of a code.

    See Also
    --------
    dmzrep.editing.interpolate : Interpolate between two images.

    References
    ----------
    M. Proszewska and others, arXiv 2506.00136, 2025 (moves along a classifier's direction).

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

    def __init__(self, encoder, *, mode="flip", features="bits", C=0.4, hold_weight=1.0, reach=0.95):
        self.encoder = encoder
        self.mode = mode
        self.features = features
        self.C = C
        self.hold_weight = hold_weight
        self.reach = reach

    @isolated
    def fit(self, X: Any, Y: Any, *, names: Sequence[str] | None = None) -> Self:
        """Fit a probe per attribute; 100 labelled samples suffice if the code represents it.

        Parameters
        ----------
        X : array-like, table or map-style dataset of n samples
            Images in the format of the encoder.
        Y : DataFrame, Series or array-like of shape (n,) or (n, n_attributes)
            Zeros and ones (or False and True, -1 and 1); NaN where unknown.
        names : sequence of str, optional
            Names of the attributes; None uses those of a DataFrame or Series, else attribute_0, ...

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Y has another length than X, an attribute that is not binary or has a single class, or repeated
            names; or a parameter is invalid.
        TypeError
            The encoder cannot encode and decode.
        """
        check_parameters(self)
        codes = code_probabilities(self.encoder, X)
        labels = read_binary_labels(Y, len(codes), names, "attribute_")
        self.probes_: AttributeProbes = fit_probes(self._features(codes), labels, self.C)
        least, most = self.probes_.limits(self._features(codes), labels, self.reach)
        self.attributes_ = list(labels.columns)
        self.labels_ = pd.DataFrame(
            {"labelled": labels.count(), "ones": labels.sum().astype(int), "least": least, "most": most}
        )
        self.latent_dim_ = codes.shape[1]
        return self

    @isolated
    def predict_proba(self, X: Any) -> pd.DataFrame:
        """Return the probability of each attribute by the probes.

        Parameters
        ----------
        X : array-like, table or map-style dataset
            Images.

        Returns
        -------
        DataFrame of shape (n, n_attributes)
            Probabilities, in the order of `attributes_`.
        """
        log_odds = self._probes().log_odds(self._features(self._encode(X)))
        return pd.DataFrame(expit(log_odds), columns=self.attributes_)

    @isolated
    def edit(
        self,
        X: Any,
        attribute: str | Mapping[str, float],
        amount: float = np.inf,
        *,
        hold: Sequence[str] | str = (),
        relative: bool = False,
        keep: bool = True,
        noise: str = "auto",
        strength: float = 1.0,
        random_state: int | np.random.RandomState | None = None,
        **sampling: Any,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Change attributes of images.

        Parameters
        ----------
        X : array-like, table or map-style dataset of n samples
            Images.
        attribute : str or dict
            The attribute; or several, with the amount of each.
        amount : float, default=inf
            Target log-odds of the attribute, limited by `reach`: by default, it is added as far as `reach`
            allows, and ``-inf`` removes it as far. Images past this value are unchanged.
        hold : sequence of str or "others", default=()
            Attributes to hold: shifts are made orthogonal to their directions, and flips that move them are
            penalised. ``"others"`` is all but those edited.
        relative : bool, default=False
            Whether the amount is a multiple of an image's own distance to the boundary, as the paper's alpha:
            -1 moves to the boundary, -2 to its other side, 1 doubles the distance; it must be finite.
        keep : bool, default=True
            If True, pixels of X are kept wherever the images decoded before and after the edit, from the same
            noise or none, agree. False returns the decoded images.
        noise : {"auto", "zero", "random", "inverted"}, default="auto"
            ``"zero"`` decodes to a typical image of each code, ``"random"`` to one drawn at random, and
            ``"inverted"`` from the noise that X inverts to, which preserves what is not edited. ``"auto"`` is
            ``"zero"`` if the last step of `encoder` is a `DMZEncoder` and ``strength=1``, else ``"random"``.
        strength : float, default=1.0
            Fraction of the timesteps to decode through, in (0, 1], from X noised to that timestep.
        random_state : int, RandomState or None, default=None
            Seed of random noise; an image has the same noise at all amounts.
        **sampling
            Sampling options of `DMZEncoder.inverse_transform`, such as `n_steps`, `sampler` and `guidance`.

        Returns
        -------
        images : ndarray of shape ``(n, *sample_shape)``
            In the layout of X. With `return_trajectory`, of shape ``(n_steps, n, *sample_shape)``.
        codes : ndarray of shape (n, latent_dim)
            Their codes: uint8 bits, or float64 in [0, 1] with ``mode="soft"``.

        Raises
        ------
        NotFittedError
            The editor is not fitted.
        ValueError
            An attribute is unknown (the nearest name is suggested), or both edited and held; or an option is
            invalid.
        """
        options = decoding_options(self.encoder, noise, strength, sampling)
        images, codes = self._edits(X, attribute, [amount], hold, relative, keep, random_state, options)
        return images[0], codes[0]

    @isolated
    def sweep(
        self,
        X: Any,
        attribute: str,
        amounts: Sequence[float],
        *,
        hold: Sequence[str] | str = (),
        relative: bool = False,
        keep: bool = True,
        noise: str = "auto",
        strength: float = 1.0,
        random_state: int | np.random.RandomState | None = None,
        **sampling: Any,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Edit images by several amounts, with the same noise for all.

        Parameters
        ----------
        X : array-like, table or map-style dataset of n samples
            Images.
        attribute : str
            The attribute.
        amounts : sequence of float
            As in `edit`; 0 leaves images unchanged, or with ``keep=False`` decodes their own codes.
        hold, relative, keep, noise, strength, random_state, **sampling
            As in `edit`.

        Returns
        -------
        images : ndarray of shape ``(n_amounts, n, *sample_shape)``
            With `return_trajectory`, of shape ``(n_amounts, n_steps, n, *sample_shape)``.
        codes : ndarray of shape (n_amounts, n, latent_dim)
            Their codes.
        """
        if isinstance(attribute, Mapping):
            raise ValueError(f"attribute must be one name; edit takes a dict. Got {short_repr(attribute)}.")
        if as_array(amounts, "amounts").ndim != 1 or len(amounts) == 0:
            raise ValueError(f"amounts must be a list of at least one number, got {short_repr(amounts)}.")
        options = decoding_options(self.encoder, noise, strength, sampling)
        return self._edits(X, attribute, amounts, hold, relative, keep, random_state, options)

    @isolated
    def report(
        self, X: Any, images: Any, codes: np.ndarray, attribute: Any, *, hold: Any = ()
    ) -> pd.DataFrame:
        """Evaluate an edit by the probes.

        Parameters
        ----------
        X
            As passed to `edit`.
        images, codes
            As returned by it.
        attribute, hold
            As passed to it.

        Returns
        -------
        DataFrame
            One row per image and attribute, with the columns

            - image: index of the image
            - attribute: the attribute
            - role: "edited", "held" or "other"
            - before, after: its probability, predicted from the codes of X, and from the edited codes
            - reencoded: its probability, predicted from the codes of the edited images
            - changed: whether `after` is on the other side of 0.5 than `before`
            - changed_reencoded: the same for `reencoded`
            - bits_flipped: bits of the image's code that differ
            - bits_returned: fraction of bits in which the edited code and the edited image's code agree
            - distance: root mean square difference of the image, in units of X

        See Also
        --------
        dmzrep.editing.edit_summary : Means of these per attribute.
        """
        probes = self._probes()
        names = list(attribute) if isinstance(attribute, Mapping) else [attribute]
        edited, held = self._resolve_names(names, hold)
        before, rebuilt = self._encode(X), self._encode(images)
        codes = as_numbers(codes, "codes").astype(np.float64)
        if codes.shape != before.shape or rebuilt.shape != before.shape:
            raise ValueError(
                f"X, images and codes must have as many samples: their codes have shapes {before.shape}, "
                f"{rebuilt.shape} and {codes.shape}. Pass the arguments and the results of edit."
            )
        pictures = read_all(X), read_all(images, "images")
        roles = np.full(len(probes.names), "other", dtype=object)
        roles[held], roles[edited] = "held", "edited"
        return edit_report(probes, roles, self._features(before), codes, self._features(rebuilt), *pictures)

    def _probes(self) -> AttributeProbes:
        check_is_fitted(self, "probes_")
        check_parameters(self)
        return self.probes_

    def _encode(self, X: Any) -> np.ndarray:
        codes = code_probabilities(self.encoder, X)
        if codes.shape[1] != self.latent_dim_:
            raise ValueError(
                f"The encoder returns codes of {codes.shape[1]} bits, but the probes were fitted to "
                f"{self.latent_dim_}. Call fit again after a change of the encoder."
            )
        return codes

    def _features(self, probabilities: np.ndarray) -> np.ndarray:
        return (probabilities > 0.5).astype(np.float64) if self.features == "bits" else probabilities

    def _resolve_names(self, names: Sequence[str], hold: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the positions of the edited attributes and of those held."""
        edited = self._positions(names)
        if isinstance(hold, str) and hold == "others" and "others" not in self.attributes_:
            return edited, np.setdiff1d(np.arange(len(self.attributes_)), edited)
        if not isinstance(hold, Iterable):
            raise TypeError(
                "hold must be the name of an attribute, a sequence of names, or 'others', got "
                f"{short_repr(hold)}."
            )
        held = self._positions([hold] if isinstance(hold, str) else list(hold))
        if both := [self.attributes_[i] for i in np.intersect1d(edited, held)]:
            raise ValueError(f"{both} cannot be both edited and held. Take them out of hold.")
        return edited, held

    def _positions(self, names: Sequence[Any]) -> np.ndarray:
        return np.array([position_of(name, self.attributes_) for name in names], dtype=int)

    def _edits(
        self,
        X: Any,
        attribute: Any,
        amounts: Sequence[float],
        hold: Any,
        relative: bool,
        keep: bool,
        random_state: Any,
        options: dict[str, Any],
    ) -> tuple[np.ndarray, np.ndarray]:
        """Edit attributes of the same images by several amounts, and decode all in one call."""
        self._probes()
        edits = [check_amounts(self, attribute, amount, relative) for amount in amounts]
        keep = check_bool(keep, "keep")
        edited, held = self._resolve_names(list(edits[0]), hold)
        probabilities = self._encode(X)
        codes = np.stack(
            [self._moved(probabilities, list(edit.values()), edited, held, relative) for edit in edits]
        )
        originals = read_all(X)
        blocks = list(codes)
        if keep:  # The codes before the edit.
            before = self._features(probabilities) if self.mode == "soft" else probabilities > 0.5
            blocks.append(before.astype(np.float64))
        if options.get("noise") == "inverted" or "strength" in options:
            options = options | {"like": np.concatenate([originals] * len(blocks))}
        seeds = block_seeds(random_state, len(originals), len(blocks))
        decoded = decode_codes(self.encoder, np.concatenate(blocks), random_state=seeds, **options)
        # The samples' axis is the first, or the second of a trajectory.
        axis = int(bool(options.get("return_trajectory")))
        images = np.stack(np.split(decoded, len(blocks), axis=axis))
        if keep:
            *edited_images, unedited = images
            images = np.stack(
                [keep_unchanged(self.encoder, originals, unedited, edited) for edited in edited_images]
            )
        return images, codes

    def _moved(
        self,
        probabilities: np.ndarray,
        amounts: Sequence[float],
        edited: np.ndarray,
        held: np.ndarray,
        relative: bool,
    ) -> np.ndarray:
        bits = probabilities > 0.5
        origin = bits.astype(np.float64) if self.mode == "flip" else self._features(probabilities)
        current = self.probes_.log_odds(origin)[:, edited]
        limits = self.labels_[["least", "most"]].to_numpy()[edited]
        targets = [
            target_log_odds(current[:, i], amount, relative=relative, limits=limits[i])
            for i, amount in enumerate(amounts)
        ]
        change = np.stack(targets, axis=1) - current
        directions = self.probes_.weights[edited], change, self.probes_.weights[held]
        if self.mode == "flip":
            return flip(bits, *directions, hold_weight=self.hold_weight).astype(np.uint8)
        moved = shift(origin, *directions)
        return (moved > 0.5).astype(np.uint8) if self.mode == "threshold" else np.clip(moved, 0.0, 1.0)
