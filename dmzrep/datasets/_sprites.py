"""Sprites: images of one coloured shape whose generating factors are known."""

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from dmzrep._base._batching import batches
from dmzrep._base._random import numpy_generator
from dmzrep._base._validation import check_bool, check_int

SHAPES = ("ellipse", "square", "triangle", "star")
COLOURS = {
    "red": (230, 57, 53),
    "orange": (245, 150, 35),
    "yellow": (250, 225, 70),
    "green": (75, 180, 80),
    "blue": (60, 110, 230),
    "purple": (160, 70, 200),
}
BACKGROUND = (40, 40, 40)
#: Ranges of the continuous factors. The largest sprite fits the picture at any place.
RANGES = {"size": (0.15, 0.3), "x": (0.3, 0.7), "y": (0.3, 0.7), "rotation": (-30.0, 30.0)}
_WARM = ("red", "orange", "yellow")
#: Pixels of the images that are drawn at a time, approximately.
_BLOCK_PIXELS = 2**20

_DESCR = """Sprites with known factors

Each image has one shape on a dark background. Six factors generate it, drawn independently and uniformly:

shape     ellipse, square, triangle or star
colour    red, orange, yellow, green, blue or purple
size      radius of the circle around the shape, as a fraction of the image's side, 0.15 to 0.3
x, y      centre from the left and from the top, as a fraction of the side, 0.3 to 0.7
rotation  degrees clockwise, -30 to 30; no two of these look alike for any shape

Attributes are 0 or 1 and follow from the factors: each shape, each colour, warm (red, orange or yellow),
and large, right, low and clockwise for the upper half of size, x, y and rotation.

Modelled on dSprites (Matthey, Higgins, Hassabis, Lerchner, 2017).
"""


def make_sprites(
    n_samples: int = 1000,
    *,
    side: int = 32,
    return_X_y: bool = False,
    random_state: int | np.random.RandomState | None = None,
) -> Bunch | tuple[np.ndarray, pd.DataFrame]:
    """Draw coloured shapes whose factors are known.

    Shape, colour, size, position and rotation are independent and uniform. Edges are anti-aliased,
    so that small changes of a continuous factor are visible.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of images, at least 1.
    side : int, default=32
        Side of the images in pixels, at least 8.
    return_X_y : bool, default=False
        Whether to return ``(images, attributes)`` instead of a Bunch.
    random_state : int, RandomState or None, default=None
        Seed of the factors. With an integer, the first images do not depend on `n_samples` nor, but for
        their resolution, on `side`.

    Returns
    -------
    data : Bunch
        With

        - images: uint8 ndarray of shape (n_samples, side, side, 3)
        - factors: DataFrame with the columns shape and colour (categories), size, x and y (fractions
          of the side) and rotation (degrees clockwise)
        - attributes: DataFrame of uint8, 0 or 1, that follow from the factors
        - DESCR: str
    (images, attributes) : tuple
        With ``return_X_y=True``.

    Raises
    ------
    ValueError
        `n_samples` or `side` is not an integer that is large enough, or another argument is invalid.

    References
    ----------
    L. Matthey, I. Higgins, D. Hassabis, A. Lerchner, "dSprites: Disentanglement testing Sprites
    dataset", 2017. The shapes, colours and rendering differ.

    Examples
    --------
    >>> from dmzrep.datasets import make_sprites
    >>> sprites = make_sprites(100, random_state=0)
    >>> sprites.images.shape, sprites.images.dtype.name
    ((100, 32, 32, 3), 'uint8')
    >>> sprites.factors.columns.tolist()
    ['shape', 'colour', 'size', 'x', 'y', 'rotation']
    >>> sprites.attributes.columns[-4:].tolist()
    ['large', 'right', 'low', 'clockwise']
    """
    n_samples, side = check_int(n_samples, "n_samples"), check_int(side, "side", 8)
    return_X_y = check_bool(return_X_y, "return_X_y")
    factors = _draw_factors(n_samples, numpy_generator(random_state))
    images, attributes = _draw_images(factors, side), _attributes(factors)
    if return_X_y:
        return images, attributes
    return Bunch(images=images, factors=factors, attributes=attributes, DESCR=_DESCR)


def _draw_factors(n_samples: int, random_state: np.random.RandomState) -> pd.DataFrame:
    # Sample by sample, so that the first samples do not depend on n_samples.
    uniform = random_state.random_sample((n_samples, 2 + len(RANGES)))
    columns: dict[str, object] = {}
    for i, (name, categories) in enumerate({"shape": SHAPES, "colour": tuple(COLOURS)}.items()):
        codes = (uniform[:, i] * len(categories)).astype(np.int64)
        columns[name] = pd.Categorical.from_codes(codes, categories)
    for i, (name, (low, high)) in enumerate(RANGES.items(), start=2):
        columns[name] = low + (high - low) * uniform[:, i]
    return pd.DataFrame(columns)


def _attributes(factors: pd.DataFrame) -> pd.DataFrame:
    columns = {shape: factors["shape"] == shape for shape in SHAPES}
    columns |= {colour: factors["colour"] == colour for colour in COLOURS}
    columns["warm"] = factors["colour"].isin(_WARM)
    for attribute, factor in {"large": "size", "right": "x", "low": "y", "clockwise": "rotation"}.items():
        columns[attribute] = factors[factor] > sum(RANGES[factor]) / 2
    return pd.DataFrame(columns).astype(np.uint8)


def _draw_images(factors: pd.DataFrame, side: int) -> np.ndarray:
    images = np.empty((len(factors), side, side, 3), dtype=np.uint8)
    background = np.array(BACKGROUND, dtype=np.float32)
    paint = np.array(list(COLOURS.values()), dtype=np.float32)[factors["colour"].cat.codes] - background
    size, x, y, degrees = (factors[name].to_numpy(np.float32)[:, None, None] for name in RANGES)
    shape = factors["shape"].to_numpy()
    pixel = (np.arange(side, dtype=np.float32) + 0.5) / side
    for part in batches(len(factors), max(1, _BLOCK_PIXELS // side**2)):
        across, down = (pixel - x[part]) / size[part], (pixel[:, None] - y[part]) / size[part]
        cos, sin = np.cos(np.deg2rad(degrees[part])), np.sin(np.deg2rad(degrees[part]))
        u, v = cos * across + sin * down, cos * down - sin * across
        distance = np.empty_like(u)
        for name, function in _DISTANCES.items():
            chosen = shape[part] == name
            distance[chosen] = function(u[chosen], v[chosen])
        # A pixel whose centre lies on the edge is half covered.
        cover = np.clip(0.5 - distance * size[part] * side, 0.0, 1.0)
        images[part] = np.rint(background + cover[..., None] * paint[part, None, None])
    return images


# Signed distances to the shapes, in the shape's own coordinates: u to the right, v down, and the circle
# around the shape has radius 1. Exact near the edge, which is where the distance counts.


def _ellipse(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    tall, wide = 0.6, 1.0
    inner = np.hypot(u / wide, v / tall)
    slope = np.hypot(u / wide**2, v / tall**2)
    # The level set's value over its gradient; at the centre, where both vanish, the shorter half axis.
    return (inner - 1.0) * np.divide(inner, slope, out=np.full_like(inner, tall), where=slope > 1e-6)


def _square(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.maximum(np.abs(u), np.abs(v)) - np.float32(np.sqrt(0.5))


def _triangle(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.maximum(v, np.float32(np.sqrt(0.75)) * np.abs(u) - 0.5 * v) - 0.5


def _star(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    point, notch, sector = 1.0, 0.45, np.pi / 5
    # All ten half points folded onto one: the angle from the nearest point, 0 to 36 degrees.
    angle = np.abs((np.arctan2(u, -v) + sector) % (2 * sector) - sector)
    radius = np.hypot(u, v)
    edge = np.array([notch * np.cos(sector) - point, notch * np.sin(sector)])
    edge /= np.hypot(*edge)
    distance = edge[0] * radius * np.sin(angle) - edge[1] * (radius * np.cos(angle) - point)
    return -distance.astype(np.float32)


_DISTANCES = {"ellipse": _ellipse, "square": _square, "triangle": _triangle, "star": _star}
