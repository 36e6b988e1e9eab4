"""Search over codes with FAISS, which is imported on first use."""

from dmzrep.retrieval._hamming import hamming_neighbors
from dmzrep.retrieval._image_retriever import ImageRetriever
from dmzrep.retrieval._itq import ITQTransformer
from dmzrep.retrieval._neighbors import FaissNeighbors

__all__ = ["FaissNeighbors", "ITQTransformer", "ImageRetriever", "hamming_neighbors"]
