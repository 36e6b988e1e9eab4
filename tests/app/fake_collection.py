"""A collection for tests of the explorer."""

import io

import numpy as np
import pandas as pd
from scipy.special import logit


class FakeCollection:
    """The attributes of an `ImageCollection` that the explorer uses."""

    def __init__(self, encoder, paths, images):
        self.encoder, self.files_ = encoder, pd.DataFrame({"path": list(map(str, paths))})
        probabilities = encoder.transform(images).astype(np.float64)
        self.logits_ = logit(np.clip(probabilities, 1e-5, 1.0 - 1e-5)).astype(np.float16)
        self.codes_ = (probabilities > 0.5).astype(np.uint8)
        self.thumbnails_ = [as_webp(image) for image in images]

    def search(self, query, k=10, without=None):
        bits = self.encoder.transform(query[None])[0] > 0.5
        distance = (self.codes_ != bits).sum(axis=1)
        nearest = distance.argsort(kind="stable")[:k]
        found = self.files_.iloc[nearest].assign(rank=np.arange(1, k + 1), distance=distance[nearest])
        return found.reset_index(drop=True)


def as_webp(image):
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "WEBP", lossless=True)
    return buffer.getvalue()
