"""Search over codes with FAISS, which is imported when something is searched."""

from dmzrep.retrieval.hamming import hamming_neighbors
from dmzrep.retrieval.image_retriever import ImageRetriever
from dmzrep.retrieval.neighbors import FaissNeighbors

__all__ = ["FaissNeighbors", "ImageRetriever", "hamming_neighbors"]
