"""Collections of picture files: search, duplicates, outliers, clusters and maps."""

from dmzrep.collection._collection import ImageCollection

__all__ = ["ImageCollection"]
