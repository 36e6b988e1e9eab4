"""Methods of collections: duplicates, outliers, clusters, labels, and a map."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from dmzrep._base._random import draw_seed
from dmzrep._base._validation import as_path, check_bool, check_choice, check_int, check_number, short_repr
from dmzrep.collection._analysis import cluster, information_kinds, positions, propagate_labels
from dmzrep.collection._codes import encode_pictures, unit_length
from dmzrep.collection._duplicates import TIERS
from dmzrep.collection._files import decode_thumbnail
from dmzrep.collection._finder import DuplicateFinder, folder_sides
from dmzrep.collection._matching import SIDE
from dmzrep.collection._store import Store
from dmzrep.datasets import ImageReader
from dmzrep.datasets._pictures import render
from dmzrep.priors import fit_prior
from dmzrep.retrieval import FaissNeighbors
from dmzrep.retrieval._embedder import Embedder


class InsightsMixin(BaseEstimator):
    """Methods of `ImageCollection` that look at all pictures."""

    encoder: Any
    _embedder: Embedder
    image_reader: ImageReader | None
    metric_: str
    _store: Store
    _neighbors: FaissNeighbors
    _finders: dict[bool, DuplicateFinder]

    @property
    def files_(self) -> pd.DataFrame:
        """Readable pictures."""
        return self._fitted_store().files

    @property
    def unreadable_(self) -> pd.DataFrame:
        """Files that could not be read."""
        return self._fitted_store().unreadable

    @property
    def logits_(self) -> np.ndarray:
        """Logits of the pictures."""
        return self._fitted_store().logits

    @property
    def codes_(self) -> np.ndarray:
        """Bits of the pictures."""
        logits = self.logits_
        threshold = logits.mean(axis=0, dtype=np.float64) if self._embedder.kind == "vectors" else 0.0
        return (logits > threshold).astype(np.uint8)

    @property
    def thumbnails_(self) -> list[bytes]:
        """Thumbnails of the pictures."""
        return self._fitted_store().thumbnails

    def _fitted_store(self) -> Store:
        if not hasattr(self, "_store"):
            raise AttributeError(f"This {type(self).__name__} is not fitted: call fit first.")
        return self._store

    def _vectors(self, logits: np.ndarray) -> np.ndarray:
        """Return what the index searches: bits, or logits of length 1."""
        return (logits > 0).astype(np.uint8) if self.metric_ == "hamming" else unit_length(logits)

    def _reader(self) -> ImageReader:
        reader = self.image_reader or getattr(self.encoder, "image_reader_", None)
        if reader is None:
            raise ValueError(
                "image_reader is required, since the encoder takes arrays. Pass the ImageReader "
                "with the size, mode and resizing of those arrays."
            )
        return reader

    @cached_property
    def _squares(self) -> np.ndarray:
        """Pictures stretched to squares, for comparisons of pixels."""
        return np.stack([decode_thumbnail(thumbnail, SIDE) for thumbnail in self._store.thumbnails])

    @cached_property
    def _kinds(self) -> np.ndarray:
        return information_kinds(self._squares)

    def duplicates(
        self,
        tier: str = "same",
        *,
        across: tuple[Any, Any] | None = None,
        mirrored: bool = False,
        max_false_pairs: float | None = None,
    ) -> pd.DataFrame:
        """Return groups of pictures that are the same, or similar.

        Candidates have similar codes; they are then aligned, and compared by their pixels. The threshold is
        calibrated on edited copies of the collection's own pictures (compressed, resized, cropped, rotated,
        brightened): 97 % of the copies are below it. It is lowered if too many pairs of different pictures
        are expected below it.

        Parameters
        ----------
        tier : {"same", "similar"}, default="same"
            ``"same"``: files with the same bytes, and edited copies of one picture. ``"similar"``: pictures
            whose codes are as near as those of copies, but which are not the same picture.
        across : pair of path-like or None, default=None
            Two folders; only pictures of one that are also in the other are returned.
        mirrored : bool, default=False
            Whether mirrored copies count as duplicates. The encoder must have been fitted with
            ``encoder_augment="affine_flip"`` to find them.
        max_false_pairs : float or None, default=None
            Largest acceptable expected number of pairs of different pictures that are taken for the same.
            None is 5 % of the pairs found, or 1 if that is more.

        Returns
        -------
        DataFrame
            One row per picture of a group, with the columns

            - group: number of the group; small groups come first
            - path: absolute path
            - tier: "same_bytes" as another picture of the group, "same_picture" or "similar"; for the picture
              to keep, the weakest tier of the group
            - distance: to the picture to keep; 0 for identical bytes, else a pixel difference, or the code
              distance for "similar"
            - mirrored: whether the picture is mirrored
            - keep: True for one suggested picture per group, that with the most pixels, then bytes
            - width, height, bytes

            All pictures of a group match the one to keep, so that there are no chains. `attrs` has
            "threshold", the largest distance, and, for "same", "expected_false_pairs" and "undecided_pairs",
            the number of pairs that a larger `max_false_pairs` would add.
        """
        check_is_fitted(self)
        check_choice("tier", tier, TIERS)
        if max_false_pairs is not None:
            max_false_pairs = check_number(max_false_pairs, "max_false_pairs", 0.0)
        finder = self._finder(check_bool(mirrored, "mirrored"))
        if across is not None:
            finder = finder.across(folder_sides(self.files_["path"], across))
        return finder.find(tier, max_false_pairs)

    def _finder(self, mirrored: bool) -> DuplicateFinder:
        if mirrored not in self._finders:
            self._finders[mirrored] = DuplicateFinder(
                *(self._store, self._squares, self._kinds == "", self._vectors(self.logits_)),
                *(self.metric_, mirrored, self._encode_copies),
            )
        return self._finders[mirrored]

    def _encode_copies(self, pictures: list[Any]) -> np.ndarray:
        """Return the vectors of Pillow images."""
        rendering = self._reader().rendering
        samples = np.stack([render(picture.convert(rendering.mode), rendering) for picture in pictures])
        return self._vectors(encode_pictures(self._embedder, samples))

    def outliers(self, n: int | None = None) -> pd.DataFrame:
        """Return pictures with little information, and those with the rarest codes.

        Parameters
        ----------
        n : int or None, default=None
            Number of rare pictures. If None, 1 % of the pictures but at least 10; for fewer than 100
            pictures, a tenth of them.

        Returns
        -------
        DataFrame
            Path, kind ("flat", "dark", "bright" or "rare") and score: for "rare", the `information` of the
            code in bits, descending; else the standard deviation of the grey levels.
        """
        check_is_fitted(self)
        size = len(self.files_)
        n = max(min(10, size // 10), size // 100) if n is None else check_int(n, "n")
        kinds = self._kinds
        information = self.information()
        ordinary = np.flatnonzero(kinds == "")
        rare = ordinary[np.argsort(-information[ordinary], kind="stable")][:n]
        poor = np.flatnonzero(kinds != "")
        spread = self._squares[poor].mean(axis=-1).std(axis=(1, 2)) / 255.0
        chosen = np.concatenate([rare, poor])
        return pd.DataFrame(
            {
                "path": self.files_["path"].iloc[chosen].reset_index(drop=True),
                "kind": np.concatenate([np.full(len(rare), "rare", dtype=object), kinds[poor]]),
                "score": np.concatenate([information[rare], spread]),
            }
        )

    def information(self) -> np.ndarray:
        """Return the information of each code in bits: -log2 of its probability under the prior.

        Returns
        -------
        ndarray of float64, shape (n,)
            Large for rare codes. The prior is a Chow-Liu tree, fitted to the collection; see
            `dmzrep.priors.ChowLiuPrior`.
        """
        check_is_fitted(self)
        prior = fit_prior("chow_liu", self.codes_)
        return -prior.log_prob(self.codes_) / np.log(2.0)

    def clusters(
        self, n_clusters: int | str = "auto", *, random_state: int | np.random.RandomState | None = None
    ) -> pd.DataFrame:
        """Return clusters of similar pictures, by k-means of normalised logits.

        Parameters
        ----------
        n_clusters : int or "auto", default="auto"
            ``"auto"`` is the square root of a tenth of the number of pictures, from 2 to 40.
        random_state : int, RandomState or None, default=None
            Seed of the initialisation. Pass an int for reproducible clusters.

        Returns
        -------
        DataFrame
            Path, cluster (0 is the largest) and is_centre (the picture nearest to the centre), in the order
            of `files_`.
        """
        check_is_fitted(self)
        n = len(self.files_)
        if isinstance(n_clusters, str):
            check_choice("n_clusters", n_clusters, ["auto"], " or an integer")
            n_clusters = min(n, int(np.clip(round(np.sqrt(n / 10.0)), 2, 40)))
        n_clusters = check_int(n_clusters, "n_clusters", 1, n, ", the number of pictures")
        labels, centres = cluster(unit_length(self.logits_), n_clusters, draw_seed(random_state) % 2**32)
        return pd.DataFrame(
            {"path": self.files_["path"], "cluster": labels, "is_centre": np.isin(np.arange(n), centres)}
        )

    def few_labels(self, labels: Mapping[Any, Any]) -> pd.DataFrame:
        """Label all pictures, from the labels of a few.

        Parameters
        ----------
        labels : mapping or Series
            Labels by path. At least two different ones.

        Returns
        -------
        DataFrame
            Path, label, confidence (probability of the label, calibrated by cross-validation if each label
            was given at least twice; 1 where it was given) and given (whether it was passed), in the order of
            `files_`.

        Raises
        ------
        ValueError
            A path is not in the collection, or fewer than two different labels.
        """
        check_is_fitted(self)
        if not isinstance(labels, (Mapping, pd.Series)):
            raise TypeError(f"labels must be a dict or a Series of labels by path, got {short_repr(labels)}.")
        known = {path: i for i, path in enumerate(self.files_["path"])}
        given = {
            os.path.abspath(as_path(path, "Each key of labels").expanduser()): label
            for path, label in labels.items()
        }
        missing = [path for path in given if path not in known]
        if missing:
            raise ValueError(
                f"labels must be those of pictures of the collection, but {len(missing)} of {len(given)} are "
                f"not, such as {missing[0]}."
            )
        if len(set(given.values())) < 2:
            raise ValueError(f"labels must have at least two different values, got {set(given.values())}.")
        indices = np.array([known[path] for path in given])
        found, confidence = propagate_labels(
            unit_length(self.logits_), indices, np.array(list(given.values()))
        )
        found[indices], confidence[indices] = np.array(list(given.values())), 1.0
        return pd.DataFrame(
            {
                "path": self.files_["path"],
                "label": found,
                "confidence": confidence,
                "given": np.isin(np.arange(len(found)), indices),
            }
        )

    def map_(
        self, method: str = "tsne", *, random_state: int | np.random.RandomState | None = None
    ) -> pd.DataFrame:
        """Return two-dimensional coordinates in which similar pictures are close.

        Parameters
        ----------
        method : {"tsne", "umap"}, default="tsne"
            scikit-learn's TSNE on the graph of nearest neighbours, or UMAP (package umap-learn).
        random_state : int, RandomState or None, default=None
            Pass an int for reproducible coordinates.

        Returns
        -------
        DataFrame
            Path, x and y, in the order of `files_`.
        """
        check_is_fitted(self)
        check_choice("method", method, ("tsne", "umap"))
        places = positions(
            *(unit_length(self.logits_), self._vectors(self.logits_), self._neighbors, method),
            draw_seed(random_state) % 2**32,
        )
        return pd.DataFrame({"path": self.files_["path"], "x": places[:, 0], "y": places[:, 1]})
