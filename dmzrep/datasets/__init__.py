"""Image datasets."""

from dmzrep.data import ImageColumn
from dmzrep.datasets._avatars import load_avatars
from dmzrep.datasets._digits import fetch_mnist, load_digits_images
from dmzrep.datasets._folder import load_images
from dmzrep.datasets._reader import ImageReader
from dmzrep.datasets._sprites import make_sprites

__all__ = [
    "ImageColumn",
    "ImageReader",
    "fetch_mnist",
    "load_avatars",
    "load_digits_images",
    "load_images",
    "make_sprites",
]
