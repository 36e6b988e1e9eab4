"""Image data sets."""

from dmzrep.datasets.digits import load_digits_images
from dmzrep.datasets.folder import load_images
from dmzrep.datasets.mnist import fetch_mnist
from dmzrep.datasets.sprites import make_sprites
from dmzrep.image_column import ImageColumn

__all__ = ["ImageColumn", "fetch_mnist", "load_digits_images", "load_images", "make_sprites"]
