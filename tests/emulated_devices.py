"""Emulated GPUs that raise the errors of real ones.

A tensor on an emulated device holds a tensor on the CPU and computes there. As on a real GPU, it cannot be
pickled, converted to a NumPy array or combined with a tensor on another device, and a device that the machine
does not have cannot be used.
"""

import contextlib

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map


class EmulatedTensor(torch.Tensor):
    """A tensor on an emulated device."""

    @staticmethod
    def __new__(cls, held, device):
        # To torch's own code it is on the "meta" device, which every build has.
        with torch.inference_mode(False):
            return torch.Tensor._make_wrapper_subclass(
                cls, held.shape, strides=held.stride(), dtype=held.dtype, device="meta", dispatch_device=True
            )

    def __init__(self, held, device):
        self.held, self._device = held, device

    @property
    def device(self):
        return self._device

    def __repr__(self, *, tensor_contents=None):
        return f"{tuple(self.shape)} on {self.device}"

    def __deepcopy__(self, memo):
        copy = EmulatedTensor(self.held.clone(), self._device)
        if isinstance(self, torch.nn.Parameter):
            copy = torch.nn.Parameter(copy, self.requires_grad)
        memo[id(self)] = copy
        return copy

    def __reduce_ex__(self, protocol):
        raise AssertionError(f"a tensor on {self.device} was pickled")

    def numpy(self, *, force=False):
        raise TypeError(f"can't convert {self.device} tensor to numpy.")

    @classmethod
    def __torch_dispatch__(cls, function, types, arguments=(), options=None):
        # Called outside of `EmulatedDevices` too: tensors stay where they are.
        return compute(function, arguments, options or {}, None)


class EmulatedDevices(TorchDispatchMode):
    """A context with devices of some names, such as ``"cuda:1"``."""

    def __init__(self, names):
        super().__init__()
        self.names = {torch.device(name) for name in names}

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        return compute(function, arguments, options or {}, self.names)


class NumberedDevices(TorchFunctionMode):
    """Give devices an index, as torch does after it has asked the driver for the current one."""

    def __torch_function__(self, function, types, arguments=(), options=None):
        def numbered(thing):
            if isinstance(thing, str) and thing in ("cuda", "mps"):
                thing = torch.device(thing)
            return with_index(thing) if isinstance(thing, torch.device) else thing

        if function is torch.Tensor.to:
            arguments, options = tree_map(numbered, (arguments, options or {}))
        return function(*arguments, **(options or {}))


def compute(function, arguments, options, present):
    """Run an operation on the held tensors, and put its results on their device."""
    if function is torch.ops.prim.device.default:
        return torch.device("meta")  # For torch's own code.
    tensors = [t for t in tree_flatten((arguments, options))[0] if isinstance(t, torch.Tensor)]
    devices = {t.device for t in tensors if isinstance(t, EmulatedTensor)}
    if any(not isinstance(t, EmulatedTensor) and t.dim() for t in tensors):
        devices.add(torch.device("cpu"))
    target = with_index(options.get("device"))
    if target is not None and target.type == "meta" and devices - {torch.device("cpu")}:
        target = None  # Added by torch's own code.
    moves = function in (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)
    if len(devices) > 1 and not moves:
        raise RuntimeError(f"{function}: tensors on {', '.join(sorted(map(str, devices)))}")
    if target is None:
        target = arguments[0].device if moves else next(iter(devices), torch.device("cpu"))
    if target.type not in ("cpu", "meta") and present is not None and target not in present:
        raise RuntimeError(f"there is no {target} here")
    held = tree_map(lambda t: t.held if isinstance(t, EmulatedTensor) else t, (arguments, dict(options)))
    if options.get("device") is not None and target.type != "meta":
        held[1]["device"] = torch.device("cpu")
    results = function(*held[0], **held[1])
    if target.type in ("cpu", "meta"):
        return results
    found = [t for t in tree_flatten(results)[0] if isinstance(t, torch.Tensor)]
    if target.type == "mps" and any(t.dtype == torch.float64 for t in found):
        raise TypeError("MPS has no float64")
    wrapped = {id(t.held): t for t in tensors if isinstance(t, EmulatedTensor)}
    return tree_map(
        lambda t: wrapped.get(id(t), EmulatedTensor(t, target)) if isinstance(t, torch.Tensor) else t, results
    )


def with_index(device):
    """Return a device with the index that its tensors have."""
    if device is None or device.type in ("cpu", "meta") or device.index is not None:
        return device
    return torch.device(device.type, 0)


@contextlib.contextmanager
def emulated(monkeypatch, n_cuda=0, mps=False):
    """Emulate a machine with some devices."""
    names = {f"cuda:{i}" for i in range(n_cuda)} | ({"mps:0"} if mps else set())
    with monkeypatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: n_cuda > 0)
        patch.setattr(torch.cuda, "device_count", lambda: n_cuda)
        patch.setattr(torch.cuda, "current_device", lambda: 0)
        patch.setattr(torch.cuda, "_lazy_init", lambda: None)
        # Builds of torch with CUDA would ask the driver.
        patch.setattr(torch.accelerator, "current_accelerator", lambda check_available=False: None)
        patch.setattr(torch.backends.mps, "is_available", lambda: mps)
        # Modules get new parameters: the content of an emulated one cannot be exchanged.
        before = torch.__future__.get_overwrite_module_params_on_conversion()
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        try:
            with EmulatedDevices(names), NumberedDevices():
                yield
        finally:
            torch.__future__.set_overwrite_module_params_on_conversion(before)
