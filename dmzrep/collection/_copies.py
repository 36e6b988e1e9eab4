"""Edited copies of pictures, from which the threshold for duplicates is calibrated."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np

from dmzrep.datasets._pictures import load_pillow


def compressed(picture: Any, rng: np.random.Generator) -> Any:
    """Return a copy compressed as JPEG."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=int(rng.integers(20, 81)))
    return load_pillow().open(file).convert("RGB")


def resized(picture: Any, rng: np.random.Generator) -> Any:
    """Return a copy of 0.5 to 1 times the size."""
    scale = rng.uniform(0.5, 1.0)
    return picture.resize([max(1, round(side * scale)) for side in picture.size])


def cropped(picture: Any, rng: np.random.Generator) -> Any:
    """Return a copy without 5 to 15 % of each side."""
    kept = 1.0 - rng.uniform(0.05, 0.15, 2)
    corner = rng.uniform(0.0, 1.0 - kept)
    box = np.concatenate([corner, corner + kept]) * np.tile(picture.size, 2)
    return picture.crop(tuple(np.rint(box).astype(int).tolist()))


def rotated(picture: Any, rng: np.random.Generator) -> Any:
    """Return a copy rotated by 2 to 8 degrees; the corners are filled with white."""
    angle = rng.uniform(2.0, 8.0) * rng.choice([-1.0, 1.0])
    return picture.rotate(angle, load_pillow().Resampling.BICUBIC, fillcolor="white")


def brightened(picture: Any, rng: np.random.Generator) -> Any:
    """Return a copy that is darker or brighter by up to 30 %."""
    from PIL import ImageEnhance

    return ImageEnhance.Brightness(picture).enhance(rng.uniform(0.7, 1.3))


def mirrored(picture: Any, rng: np.random.Generator) -> Any:
    return picture.transpose(load_pillow().Transpose.FLIP_LEFT_RIGHT)


#: The edits by name; a mirrored copy is a duplicate on request only.
EDITS: dict[str, Callable[[Any, np.random.Generator], Any]] = {
    "compressed": compressed,
    "resized": resized,
    "cropped": cropped,
    "rotated": rotated,
    "brightened": brightened,
    "mirrored": mirrored,
}


def edited_copies(pictures: list[Any], mirrored: bool, random_state: int) -> list[Any]:
    """Return a copy of each Pillow image by the edits in turn."""
    rng = np.random.default_rng(random_state)
    edits = [edit for name, edit in EDITS.items() if mirrored or name != "mirrored"]
    return [edits[i % len(edits)](picture, rng) for i, picture in enumerate(pictures)]
