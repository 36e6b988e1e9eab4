"""What the explorer computes, apart from its page."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import expit

from dmzrep._base._validation import check_choice
from dmzrep.app._checks import check_collection
from dmzrep.codes._protocol import code_probabilities
from dmzrep.data import ImageFormat
from dmzrep.datasets._pictures import Rendering, load_pillow, read_picture
from dmzrep.editing import AttributeEditor, interpolate
from dmzrep.editing._blending import keep_unchanged
from dmzrep.estimator._encoder import check_encoder

#: Where decoded pictures take the details from that bits do not determine.
DETAILS = ("typical", "random", "unchanged pixels", "inverted noise")
#: Called with the number of finished steps and of all.
OnStep = Callable[[int, int], None]
#: Pillow modes by the number of channels.
_MODE_OF = {1: "L", 3: "RGB", 4: "RGBA"}
#: Name of the prior that was fitted with the encoder, and those that every encoder has.
FITTED = "fitted"
_PRIORS = ("independent", "uniform")
#: Seed of the picture by which two models are compared.
_SAME_SEED = 0
#: Longest side in pixels to which small pictures are enlarged, roughly.
_SHOWN_SIDE = 320


@dataclass(frozen=True)
class Picture:
    """A picture as a batch of one sample in the encoder's format, with its probabilities of ones."""

    name: str
    sample: np.ndarray
    probabilities: np.ndarray

    @property
    def bits(self) -> np.ndarray:
        """Bits of the picture's code, uint8."""
        return (self.probabilities > 0.5).astype(np.uint8)


class CodesAsSamples:
    """An encoder whose samples are codes, so that an editor of codes needs no pictures."""

    def transform(self, X: np.ndarray) -> np.ndarray:
        return X

    def inverse_transform(self, Z: np.ndarray) -> np.ndarray:
        return Z


class Exploration:
    """An encoder of images and, optionally, the collection that it has indexed; it holds no session's state.

    Raise TypeError or ValueError for an encoder of vectors, and for a collection of another encoder.
    """

    def __init__(self, encoder: Any, collection: Any = None):
        check_encoder(encoder)
        decoder = encoder.decoder_
        image_format = decoder.data_format
        if not isinstance(image_format, ImageFormat):
            raise ValueError(
                "The explorer needs an encoder of images, but this one was fitted to vectors. If they are "
                "flattened images, fit with image_shape=(H, W) or (H, W, C)."
            )
        self.encoder, self.collection, self.format = encoder, collection, image_format
        self.has_code, self.latent_dim = decoder.has_code, decoder.latent_dim
        self.can_decode = decoder.is_trained
        self.can_guide = encoder.code_dropout_ > 0.0
        self.max_steps = min(100, decoder.objective.schedule.n_timesteps)
        if collection is not None:
            check_collection(collection)
            self._check_same_encoder()

    def _check_same_encoder(self) -> None:
        """Raise unless the collection was indexed by this encoder, as far as one picture shows."""
        if self.collection.encoder is self.encoder:
            return
        noise = torch.rand((1, *self.format.shape), generator=torch.Generator().manual_seed(_SAME_SEED))
        sample = self.format.from_model(2.0 * noise - 1.0)
        try:
            theirs = code_probabilities(self.collection.encoder, sample)
        except ValueError:  # Pictures of another shape.
            theirs = np.empty(0)
        ours = code_probabilities(self.encoder, sample)
        if theirs.shape != ours.shape or not np.allclose(ours, theirs, atol=1e-3):
            raise ValueError(
                "The collection was indexed with a different model, so its codes do not match those of "
                "encoder. Pass the model of the index, or index the pictures again with this one."
            )

    @property
    def why_not_decodable(self) -> str:
        """A sentence on why codes cannot be decoded, or ``""``."""
        if self.can_decode:
            return ""
        return (
            "The decoder of this model has not been trained (max_iter=0). The page shows codes and "
            "neighbours; reconstructions, edits, walks and new pictures need a decoder: fit without "
            "max_iter=0."
        )

    @property
    def priors(self) -> tuple[str, ...]:
        """Names of the priors that can be sampled."""
        return _PRIORS if self.encoder.prior_ is None else (FITTED, *_PRIORS)

    def read(self, path: str | os.PathLike, name: str | None = None) -> Picture:
        """Read a picture file as the encoder's training pictures were; errors call it by `name`."""
        name = name or Path(path).name
        reader: Any = self.encoder.image_reader_
        try:
            sample = self._rendered(path) if reader is None else reader.transform([path])
        except Exception as error:  # Decoders raise various errors for damaged files.
            cause = error.__cause__ or error
            if isinstance(cause, load_pillow().UnidentifiedImageError):
                reason = "it is damaged, or no picture. Save it as PNG or JPEG."
            else:
                reason = str(cause).replace(os.fspath(path), name) or type(cause).__name__
            raise ValueError(f"{name} cannot be read as a picture: {reason}") from error
        return self.picture(sample, name)

    def _rendered(self, path: str | os.PathLike) -> np.ndarray:
        """Read a picture file for an encoder that was fitted to arrays."""
        channels, *size = self.format.shape
        if channels not in _MODE_OF:
            raise ValueError(f"The model takes images of {channels} channels, which no picture file has.")
        pixels = read_picture(path, Rendering((size[0], size[1]), _MODE_OF[channels], "crop", "white"))
        units = torch.from_numpy(pixels.reshape(1, *size, channels).astype(np.float32) / 127.5 - 1.0)
        return self.format.from_model(units.permute(0, 3, 1, 2))

    def picture(self, sample: np.ndarray, name: str) -> Picture:
        """Return a picture of a batch of one sample, with its code where the model has one."""
        probabilities = code_probabilities(self.encoder, sample)[0] if self.has_code else np.empty(0)
        return Picture(name, sample, probabilities)

    def show(self, samples: np.ndarray) -> list[np.ndarray]:
        """Return samples as pictures of type uint8, each of shape (H, W), (H, W, 3) or (H, W, 4).

        Small ones are enlarged, as browsers would blur them.
        """
        pixels = np.rint(255.0 * self.format.to_pictures(samples)).astype(np.uint8)
        factor = max(1, round(_SHOWN_SIDE / max(pixels.shape[1:3])))
        return list(pixels.repeat(factor, axis=1).repeat(factor, axis=2))

    def decode(
        self,
        picture: Picture,
        bits: Any,
        *,
        details: str = "typical",
        seed: int = 0,
        on_step: OnStep | None = None,
        **sampling: Any,
    ) -> np.ndarray:
        """Decode a code that was made from a picture's; with equal seeds only bits make a difference.

        `details` is one of `DETAILS`: those typical of the code; of random noise; of the picture, where its
        code before and after the changes decodes to the same; or of the noise that the picture inverts to.
        """
        check_choice("details", details, DETAILS)
        bits = (np.asarray(bits, dtype=np.float64) > 0.5).astype(np.uint8)
        if bits.shape != (self.latent_dim,):
            raise ValueError(f"A code of this model has {self.latent_dim} bits, got shape {bits.shape}.")
        options = self._sampling(sampling, on_step, inverted=details == "inverted noise")
        if details == "inverted noise":
            return self.encoder.inverse_transform(
                bits[None], like=picture.sample, noise="inverted", **options
            )
        if details == "random":
            return self.encoder.inverse_transform(bits[None], random_state=[seed], **options)
        if details == "typical":
            return self.encoder.inverse_transform(bits[None], noise="zero", random_state=[seed], **options)
        pair = np.stack([picture.bits, bits])
        before, after = self.encoder.inverse_transform(pair, noise="zero", random_state=[seed] * 2, **options)
        return keep_unchanged(self.encoder, picture.sample, before[None], after[None])

    def _sampling(self, sampling: dict[str, Any], on_step: OnStep | None, inverted: bool = False) -> dict:
        """Return the options of sampling that are not at their defaults."""
        options = {name: value for name, value in sampling.items() if value is not None}
        if inverted:  # Only DDIM is invertible.
            options.pop("sampler", None)
        if not self.can_guide:
            options.pop("guidance", None)
        if on_step is not None:
            options["callback"] = lambda step, n_steps, _: on_step(step, n_steps)
        return options

    def draw_codes(self, seed: int) -> np.ndarray:
        """Return a code that was drawn from the fitted prior, uint8."""
        if self.encoder.prior_ is None:
            raise ValueError("The model has no prior to draw codes from.")
        return self.encoder.prior_.sample(1, random_state=seed)[0].astype(np.uint8)

    def drawn(self, seed: int, on_step: OnStep | None = None, **sampling: Any) -> Picture:
        """Return a picture decoded from a code of the prior, together with that code."""
        bits = self.draw_codes(seed)
        options = self._sampling(sampling, on_step)
        sample = self.encoder.inverse_transform(bits[None], random_state=[seed], **options)
        return Picture(f"code drawn with seed {seed}", sample, bits.astype(np.float64))

    def draw(
        self,
        n: int,
        *,
        prior: str = FITTED,
        seed: int = 0,
        on_step: OnStep | None = None,
        **sampling: Any,
    ) -> np.ndarray:
        options = self._sampling(sampling, on_step)
        named = None if prior == FITTED else prior
        return self.encoder.sample(n, prior=named, random_state=seed, **options)

    def walk(
        self,
        first: Picture,
        last: Picture,
        n_images: int,
        *,
        path: str = "smooth",
        noise: str = "zero",
        seed: int = 0,
        on_step: OnStep | None = None,
        **sampling: Any,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return samples between two pictures, and in how many bits each differs from the first."""
        options = self._sampling(sampling, on_step, inverted=noise == "inverted")
        samples, codes = interpolate(
            self.encoder,
            first.sample,
            last.sample,
            n_images,
            path=path,
            noise=noise,
            random_state=seed,
            **options,
        )
        return samples[0], np.abs(codes[0].astype(np.float64) - codes[0, 0]).sum(axis=-1)

    def random_row(self, rng: np.random.Generator) -> int:
        return int(rng.integers(len(self.collection.files_)))

    def read_row(self, row: int) -> Picture:
        path = self.collection.files_["path"].iloc[row]
        return self.read(path, path)

    def neighbours(self, picture: Picture, k: int) -> tuple[list[tuple[bytes, str]], list[int]]:
        """Return thumbnails with captions, and rows in the collection, of the nearest pictures."""
        query = picture.sample[0]
        found = self.collection.search(query, k=min(k, len(self.collection.files_)))
        row_of = {path: row for row, path in enumerate(self.collection.files_["path"])}
        rows = [row_of[path] for path in found["path"]]
        captions = [
            f"{round(float(distance), 3):g} · {Path(path).name}"
            for path, distance in zip(found["path"], found["distance"], strict=True)
        ]
        thumbnails = [self.collection.thumbnails_[row] for row in rows]
        return list(zip(thumbnails, captions, strict=True)), rows

    def probabilities_of(self, rows: np.ndarray) -> np.ndarray:
        """Return the probabilities of ones of pictures of the collection, float64."""
        return expit(np.asarray(self.collection.logits_)[rows].astype(np.float64))


def edited_bits(editor: AttributeEditor, picture: Picture, amounts: dict[str, float]) -> np.ndarray:
    """Return the picture's bits after an edit of attributes; an amount of 0 leaves an attribute as it is."""
    wanted = {name: amount for name, amount in amounts.items() if amount}
    if not wanted:
        return picture.bits
    _, codes = editor.edit(picture.probabilities[None], wanted, keep=False)
    return codes[0]


def attribute_probabilities(editor: AttributeEditor, codes: Any) -> dict[str, float]:
    """Return the probability of each attribute given a code, bits or probabilities."""
    table = editor.predict_proba(np.asarray(codes, dtype=np.float64)[None])
    return table.iloc[0].to_dict()


def switched(picture: Picture, bits: np.ndarray) -> int:
    """Return the number of bits that differ from the picture's code."""
    return int((bits != picture.bits).sum())
