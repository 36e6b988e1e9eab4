"""Encode and search images with NumPy and ONNX Runtime: without torch and dmzrep.

`DMZEncoder.export_encoder("encoder.onnx")` writes the model; images and queries are what `transform` takes.

    python examples/search_without_torch.py encoder.onnx images.npy queries.npy
"""

import sys

import numpy as np
import onnxruntime

BATCH, K = 256, 5
N_ONES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1, dtype=np.uint16)


def main(model: str, *files: str) -> None:
    session = onnxruntime.InferenceSession(model)
    images, queries = (encode(session, np.load(file, mmap_mode="r")) for file in files)
    for query, code in enumerate(queries):
        distances = N_ONES[images ^ code].sum(axis=1)
        nearest = np.argsort(distances, kind="stable")[:K]
        print(f"query {query}: images {nearest.tolist()}, {distances[nearest].tolist()} bits away")


def encode(session: onnxruntime.InferenceSession, images: np.ndarray) -> np.ndarray:
    """Return packed codes, 8 bits per byte."""
    name, about = session.get_inputs()[0].name, session.get_modelmeta().custom_metadata_map
    batches = (images[start : start + BATCH] for start in range(0, len(images), BATCH))
    codes = np.concatenate([session.run(None, {name: batch})[0] for batch in batches])
    return np.packbits(codes > (0.0 if about["output"] == "logits" else 0.5), axis=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
