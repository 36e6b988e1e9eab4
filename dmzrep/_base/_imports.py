"""Imports of optional packages."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def optional_import(needed: str, extra: str) -> Iterator[None]:
    """Name in an ImportError what is needed, such as "ssim needs scikit-image", and the extra to install."""
    try:
        yield
    except ImportError as error:
        raise ImportError(f'{needed} ({error}). Install with: pip install "dmzrep[{extra}]"') from error
