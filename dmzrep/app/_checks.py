"""Validation of the arguments of the pages."""

from typing import Any

from dmzrep._base._validation import short_repr


def check_collection(collection: Any) -> None:
    """Raise unless a value is a fitted `ImageCollection`."""
    if not hasattr(collection, "files_"):
        raise TypeError(f"collection must be a fitted ImageCollection, got {short_repr(collection)}.")
