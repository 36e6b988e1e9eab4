"""Parameters of the networks."""

from __future__ import annotations

from numbers import Integral, Real
from typing import ClassVar

from sklearn.utils._param_validation import Interval, StrOptions

from dmzrep._base._parameters import ParameterGroup
from dmzrep.networks._conditioning import CONDITIONINGS
from dmzrep.networks._relaxation import CODE_INPUTS

_POSITIVE_INT = Interval(Integral, 1, None, closed="left")


class Network(ParameterGroup):
    """Architecture parameters of the encoder and the denoiser of a `DMZEncoder`.

    Parameters
    ----------
    width : "auto", int or tuple of int, default="auto"
        Channels at each level of the UNet, from the finest, multiples of 8 (a single number sets only the
        finest level); or hidden features of the MLP (256).
    depth : "auto", int or (int, int), default="auto"
        Residual blocks at each level of the UNet, (down, up); a single number d is (d, d + 1), as in DDPM;
        ``"auto"`` is (1, 1). Or blocks of the MLP (3).
    attention : "auto" or tuple of int, default="auto"
        Sides of the feature maps with self-attention. ``"auto"``: none, or, with
        ``conditioning="cross_attention"``, which needs it, the coarsest.
    patch_size : "auto" or int, default="auto"
        Side length of the patches, in pixels, of the space-to-depth stem of the UNet. ``"auto"``: 1 up to 16
        pixels, 2 up to 40, 4 up to 96, then 8.
    conditioning : str, default="auto"
        How the code conditions the denoiser; one of

        - ``"bias"``: the paper's cross-attention to one token, computed as the equivalent bias;
        - ``"spatial_bias"``: the same, and biases for each position of feature maps of all levels, from a
          small convolutional decoder of the code;
        - ``"cross_attention"``: cross-attention to one token per bit (at most 64 tokens);
        - ``"adagn"``: scale and shift of each normalisation;
        - ``"timestep"``: added to the embedding of the timestep;
        - ``"none"``: no conditioning; an unconditional diffusion model without codes.

        ``"auto"`` is ``"spatial_bias"`` for images, ``"bias"`` for vectors.
    code_input : {"signed", "one_hot"}, default="signed"
        Encoding of each bit for the denoiser: one input of -1 or +1, or two inputs.
    gaussian_denoiser : "auto" or bool, default="auto"
        Add the prediction of the UNet to that of the best linear denoiser: the expected image given the code
        and the noised image, if images are Gaussian given their codes. It is computed from the data before
        training. ``"auto"``: for images with the built-in denoiser, if `init` is not ``"random"`` and the
        variance is not learned.
    dropout : float, default=0.0
        Dropout rate of the denoiser, in [0, 1).
    encoder_width : "auto" or int, default="auto"
        Channels after the first convolution of the encoder (32), or hidden features for vectors (256).
    encoder_depth : "auto" or int, default="auto"
        Residual convolutions after each strided convolution of the encoder. ``"auto"`` is none, as in
        the paper.
    init_filters : "auto" or int, default="auto"
        Filters of the features from which ``init="cca"`` computes the code. ``"auto"`` is 256; 64 for fewer
        than 10,000 samples or `max_time` below 30 s, and 32 for images of at most 16 pixels.
    normalize_logits : bool, default=True
        Normalise the logits of the encoder over the batch to mean 0 and standard deviation 5, so that no bit
        is constant. The paper does not do this.

    See Also
    --------
    DMZEncoder : Takes it as `network`.
    Training : Parameters of training.

    Examples
    --------
    >>> from dmzrep import DMZEncoder, Network
    >>> DMZEncoder(64, network=Network(width=(64, 128))).get_params()["network__width"]
    (64, 128)
    """

    _parameter_constraints: ClassVar[dict] = {
        "width": [StrOptions({"auto"}), _POSITIVE_INT, tuple, list],
        "depth": [StrOptions({"auto"}), _POSITIVE_INT, tuple, list],
        "attention": [StrOptions({"auto"}), tuple, list],
        "patch_size": [StrOptions({"auto"}), _POSITIVE_INT],
        "conditioning": [StrOptions({"auto", *CONDITIONINGS})],
        "code_input": [StrOptions(set(CODE_INPUTS))],
        "gaussian_denoiser": [StrOptions({"auto"}), "boolean"],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "encoder_width": [StrOptions({"auto"}), _POSITIVE_INT],
        "encoder_depth": [StrOptions({"auto"}), Interval(Integral, 0, None, closed="left")],
        "init_filters": [StrOptions({"auto"}), _POSITIVE_INT],
        "normalize_logits": ["boolean"],
    }

    def __init__(
        self,
        *,
        width="auto",
        depth="auto",
        attention="auto",
        patch_size="auto",
        conditioning="auto",
        code_input="signed",
        gaussian_denoiser="auto",
        dropout=0.0,
        encoder_width="auto",
        encoder_depth="auto",
        init_filters="auto",
        normalize_logits=True,
    ):
        self.width = width
        self.depth = depth
        self.attention = attention
        self.patch_size = patch_size
        self.conditioning = conditioning
        self.code_input = code_input
        self.gaussian_denoiser = gaussian_denoiser
        self.dropout = dropout
        self.encoder_width = encoder_width
        self.encoder_depth = encoder_depth
        self.init_filters = init_filters
        self.normalize_logits = normalize_logits
