"""Export of the encoder to ONNX: from samples in the user's layout to codes."""

from __future__ import annotations

import copy
import json
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dmzrep._base._imports import optional_import
from dmzrep._base._validation import as_path
from dmzrep.data import ImageFormat, VectorFormat
from dmzrep.datasets import ImageReader
from dmzrep.files._atomic import replace_file
from dmzrep.networks._custom_encoder import TransformerFeatures
from dmzrep.networks._model import DiffusionAutoencoder
from dmzrep.version import __version__

#: Number of traced samples: neither 0 nor 1, which tracing would treat as constants.
EXAMPLE_SAMPLES = 2


class SampleEncoder(nn.Module):
    """Maps samples of shape (n, *sample_shape) to what `transform` returns for them."""

    def __init__(self, encoder: nn.Module, data_format: ImageFormat | VectorFormat, output: str):
        super().__init__()
        self.encoder = encoder
        self.data_format = data_format
        self.output = output

    def forward(self, samples: Tensor) -> Tensor:
        logits = self.encoder(self.data_format.to_model(samples)).float()
        if self.output == "logits":
            return logits
        probabilities = torch.sigmoid(logits)
        return probabilities if self.output == "probabilities" else (probabilities > 0.5).to(torch.uint8)


def write_encoder(
    path: str | os.PathLike,
    network: DiffusionAutoencoder,
    data_format: ImageFormat | VectorFormat,
    output: str,
    reader: ImageReader | None,
) -> None:
    """Write the encoder of a trained model to an ONNX file; the model is not changed.

    The deprecated TorchScript exporter does not support adaptive pooling to grids that do not divide the
    image, which the encoder's linear branch needs.
    """
    path = as_path(path, "path")
    if isinstance(getattr(network.encoder, "extractor", None), TransformerFeatures):
        raise ValueError(
            "An encoder on a scikit-learn transformer cannot be exported to ONNX. Fit with encoder=module."
        )
    with optional_import("Export to ONNX needs the packages onnx and onnxscript", "onnx"):
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    _check_path(path)
    metadata = describe_input(data_format, reader)
    module = SampleEncoder(copy.deepcopy(network.encoder).cpu(), data_format, output).eval()
    dtype = np.dtype(data_format.dtype).newbyteorder("=")
    example = torch.from_numpy(np.zeros((EXAMPLE_SAMPLES, *data_format.sample_shape), dtype=dtype))
    with _quiet_exporter():
        program = torch.onnx.export(
            module,
            (example,),
            dynamo=True,
            input_names=[metadata["input_name"]],
            output_names=[output],
            dynamic_shapes=({0: torch.export.Dim("n")},),
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    model.producer_name, model.producer_version = "dmzrep", __version__
    metadata |= {
        "output": output,
        "latent_dim": str(network.config.latent_dim),
        "dmzrep_version": __version__,
    }
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    replace_file(path, model.SerializeToString())


def describe_input(data_format: ImageFormat | VectorFormat, reader: ImageReader | None) -> dict[str, str]:
    """Describe the input of an encoder.

    `input_layout` is "HW", "HWC" or "CHW", after "flattened " where samples are flat, or "features";
    `input_shape`, `value_range` and `image_reader` are JSON, the second null for vectors, the third absent
    without a reader of picture files.
    """
    layout, value_range, name = "features", None, "vectors"
    if isinstance(data_format, ImageFormat):
        layout = ("flattened " if data_format.flat else "") + data_format.layout
        value_range, name = [data_format.low, data_format.high], "images"
    return {
        "input_name": name,
        "input_layout": layout,
        "input_shape": json.dumps(["n", *data_format.sample_shape]),
        "input_dtype": np.dtype(data_format.dtype).name,
        "value_range": json.dumps(value_range),
        **({} if reader is None else {"image_reader": json.dumps(reader.rendering.describe())}),
    }


def _check_path(path: Path) -> None:
    """Raise before the export, which takes seconds, if the file cannot be written."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"The encoder cannot be written to {path}: there is no folder {path.parent}.")
    if path.is_dir():
        raise IsADirectoryError(f"The encoder cannot be written to {path}: it is a folder. Name a file.")


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Silence messages about optional packages and deprecations in torch."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logger.setLevel(before)
