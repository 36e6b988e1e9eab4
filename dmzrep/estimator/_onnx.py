"""The encoder as an ONNX model: from rows as users have them to codes, without torch."""

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

from dmzrep.data import ImageFormat, VectorFormat
from dmzrep.files._atomic import replace_file
from dmzrep.networks._model import DiffusionAutoencoder
from dmzrep.version import __version__

#: Samples of the example that is traced: neither 0 nor 1, which tracing would take for constants.
EXAMPLE_ROWS = 2


class RowEncoder(nn.Module):
    """Samples in the user's layout to what `transform` gives of them.

    Parameters
    ----------
    encoder : nn.Module
        From model units to logits.
    data_format : ImageFormat or VectorFormat
        From rows to model units.
    output : {"probabilities", "logits", "bits"}
        As of `DMZEncoder`.
    """

    def __init__(self, encoder: nn.Module, data_format: ImageFormat | VectorFormat, output: str):
        super().__init__()
        self.encoder = encoder
        self.data_format = data_format
        self.output = output

    def forward(self, rows: Tensor) -> Tensor:
        """Map rows of shape (n, *sample_shape) to codes of shape (n, latent_dim)."""
        logits = self.encoder(self.data_format.to_model(rows)).float()
        if self.output == "logits":
            return logits
        probabilities = torch.sigmoid(logits)
        return probabilities if self.output == "probabilities" else (probabilities > 0.5).to(torch.uint8)


def write_encoder(
    path: str | os.PathLike,
    network: DiffusionAutoencoder,
    data_format: ImageFormat | VectorFormat,
    output: str,
) -> None:
    """Write the encoder of a trained model to an ONNX file.

    Parameters
    ----------
    path : path-like
        The file; its folder must exist. Replaced only once the new one is complete.
    network : DiffusionAutoencoder
        The trained networks, on any device; they are left as they are.
    data_format : ImageFormat or VectorFormat
        Gives the input's layout, dtype and range.
    output : {"probabilities", "logits", "bits"}
        What the model gives.

    Raises
    ------
    ImportError
        The packages of the extra ``onnx`` are missing.
    OSError
        The file cannot be written.

    Notes
    -----
    Uses the exporter that is based on `torch.export`. The older one, based on TorchScript, is deprecated
    and has no adaptive pooling to grids that do not divide the image, which the encoder's start has.
    """
    path = Path(path)
    _check_packages()
    _check_writable(path)
    name = "images" if isinstance(data_format, ImageFormat) else "vectors"
    module = RowEncoder(copy.deepcopy(network.encoder).cpu(), data_format, output).eval()
    dtype = np.dtype(data_format.dtype).newbyteorder("=")
    example = torch.from_numpy(np.zeros((EXAMPLE_ROWS, *data_format.sample_shape), dtype=dtype))
    with _quiet_exporter():
        program = torch.onnx.export(
            module,
            (example,),
            dynamo=True,
            input_names=[name],
            output_names=[output],
            dynamic_shapes=({0: torch.export.Dim("n")},),
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    model.producer_name, model.producer_version = "dmzrep", __version__
    for key, value in describe_input(data_format).items():
        model.metadata_props.add(key=key, value=value)
    model.metadata_props.add(key="output", value=output)
    model.metadata_props.add(key="latent_dim", value=str(network.config.latent_dim))
    model.metadata_props.add(key="dmzrep_version", value=__version__)
    replace_file(path, model.SerializeToString())


def describe_input(data_format: ImageFormat | VectorFormat) -> dict[str, str]:
    """Tell what an exported model takes, as the strings of its metadata.

    Parameters
    ----------
    data_format : ImageFormat or VectorFormat
        Of the fitted data.

    Returns
    -------
    dict of str to str
        ``input_name``; ``input_layout``, "HW", "HWC" or "CHW", after "flattened " where rows are flat, or
        "features"; ``input_shape`` and ``value_range`` as JSON, the latter null for vectors;
        ``input_dtype``.

    Examples
    --------
    >>> from dmzrep.data import ImageFormat
    >>> from dmzrep.estimator._onnx import describe_input
    >>> about = describe_input(ImageFormat("HWC", (3, 32, 32), False, "uint8", 0.0, 255.0))
    >>> about["input_shape"], about["input_layout"], about["value_range"]
    ('["n", 32, 32, 3]', 'HWC', '[0.0, 255.0]')
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
    }


def _check_packages() -> None:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"Export to ONNX needs the packages onnx and onnxscript ({error}). "
            'Install them with: pip install "dmzrep[onnx]"'
        ) from error


def _check_writable(path: Path) -> None:
    """Raise before the export, which takes seconds, what writing would raise after it."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"The encoder cannot be written to {path}: there is no folder {path.parent}.")
    if path.is_dir():
        raise IsADirectoryError(f"The encoder cannot be written to {path}: it is a folder. Name a file.")
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(
            f"The encoder cannot be written to {path}: the folder {path.parent} is not writable."
        )


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Hold back what the exporter says of optional packages and of names that torch itself uses."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logger.setLevel(before)
