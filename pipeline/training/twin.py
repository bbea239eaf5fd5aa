"""Train a Keras model with PyTorch's kernels: the same graph, the same weights, other kernels.

PyTorch's CPU convolutions in channels-last memory make a training step faster than TensorFlow's
(``python -m pipeline bench`` says by how much), and a GPU image that only has PyTorch trains the
same models. Keras stays the one place where a model is
written down: the twin walks the built graph and replaces each layer.
"""

import copy
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.layers import three_channels

# Up to so many channels the halves of a separable convolution are run as one, on a CPU and a GPU.
WIDEST_MERGED, WIDEST_MERGED_ON_GPU = 32, 128

Function = Callable[[Tensor], Tensor]


class TorchTwin(nn.Module):
    """A PyTorch module with the graph and the weights of a functional Keras model.

    Takes and returns float32 tensors with Keras's axes, (batch, rows, columns, channels), so that
    losses and metrics read alike in both worlds. Raises TypeError for a layer it has no twin of.
    """

    def __init__(self, model: keras.Model):
        super().__init__()
        # On Keras's torch backend a model is a module, too: in a tuple it is no part of this one,
        # and loading this one's state leaves the Keras model alone.
        self.source = (model,)
        self.twins = nn.ModuleDict({op.name: _twin_of(op) for op in model.layers})

    def forward(self, image: Tensor) -> Tensor:
        x = image.movedim(-1, 1).contiguous(memory_format=torch.channels_last)
        (model,) = self.source
        y = model._run_through_graph(x, operation_fn=self._twin_call)
        return y.movedim(1, -1) if y.ndim == 4 else y

    def _twin_call(self, layer: keras.Layer) -> Callable[..., Tensor]:
        twin = self.twins[layer.name]
        return lambda *inputs, **_: twin(*inputs)  # Keras adds `mask` and `training`

    def __deepcopy__(self, memo: dict[int, Any]) -> "TorchTwin":
        memo[id(self.source)] = self.source  # a copy is a twin of the same Keras model
        twin = memo[id(self)] = self.__class__.__new__(self.__class__)
        twin.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return twin

    def write_back(self) -> None:
        """Copy the twin's weights into the Keras model."""
        for layer in self.source[0].layers:
            if layer.weights:
                layer.set_weights(
                    [w.detach().cpu().numpy() for w in self.twins[layer.name].keras()]
                )


class _Convolution(nn.Module):
    """Conv2D and SeparableConv2D.

    A separable convolution has nothing between its two halves, so it equals one convolution with
    the product of their kernels; at small widths the single dense kernel is faster to train.
    """

    def __init__(self, layer: keras.Layer):
        super().__init__()
        if tuple(layer.dilation_rate) != (1, 1):
            raise TypeError(f"{layer.name}: only convolutions without dilation have a twin.")
        self.halves = nn.ParameterList(map(_parameter, layer.get_weights()))
        self.separable = isinstance(layer, keras.layers.SeparableConv2D)
        self.use_bias = layer.use_bias
        self.activation = _activation(layer)
        self.window, self.strides = layer.kernel_size, tuple(layer.strides)
        self.same = layer.padding == "same"

    @property
    def bias(self) -> Tensor | None:
        # No second name in the state: `torch.func.functional_call` refuses weights with two.
        return self.halves[-1] if self.use_bias else None

    def forward(self, x: Tensor) -> Tensor:
        if self.same:
            x = _pad_same(x, self.window, self.strides)
        widest = WIDEST_MERGED_ON_GPU if x.is_cuda else WIDEST_MERGED
        if self.separable and self.halves[0].shape[2] > widest:
            depthwise, pointwise = self.halves[0], self.halves[1]
            kernel = depthwise.permute(2, 3, 0, 1).flatten(0, 1).unsqueeze(1)
            x = F.conv2d(x, kernel, stride=self.strides, groups=depthwise.shape[2])
            y = F.conv2d(x, pointwise.permute(3, 2, 0, 1), self.bias)
        else:
            kernel = self._merged_kernel().permute(3, 2, 0, 1)
            y = F.conv2d(x, kernel, self.bias, stride=self.strides)
        return self.activation(y)

    def _merged_kernel(self) -> Tensor:
        kernel = self.halves[0]
        if not self.separable:
            return kernel
        channels, multiplier = kernel.shape[2:]
        pointwise = self.halves[1].reshape(channels, multiplier, -1)
        return torch.einsum("hwcm,cmf->hwcf", kernel, pointwise)

    def keras(self) -> list[Tensor]:
        return list(self.halves)


def _pad_same(
    x: Tensor, window: tuple[int, int], strides: tuple[int, int], value: float = 0.0
) -> Tensor:
    """Pad as Keras's "same" does: the odd one goes to the end, and strides need less."""
    pads: list[int] = []
    for size, width, stride in zip(x.shape[2:], window, strides, strict=True):
        total = max((-(-size // stride) - 1) * stride + width - size, 0)
        pads = [total // 2, total - total // 2, *pads]
    return F.pad(x, pads, value=value) if any(pads) else x


class _Dense(nn.Module):
    def __init__(self, layer: keras.Layer):
        super().__init__()
        self.kernel, self.bias = map(_parameter, layer.get_weights())
        self.activation = _activation(layer)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return self.activation(x.float() @ self.kernel + self.bias)

    def keras(self) -> list[Tensor]:
        return [self.kernel, self.bias]


class _BatchNorm(nn.Module):
    def __init__(self, layer: keras.Layer):
        super().__init__()
        gamma, beta, mean, variance = layer.get_weights()
        self.norm = nn.BatchNorm2d(len(gamma), eps=layer.epsilon, momentum=1 - layer.momentum)
        with torch.no_grad():
            self.norm.weight.copy_(torch.from_numpy(gamma))
            self.norm.bias.copy_(torch.from_numpy(beta))
            self.norm.running_mean.copy_(torch.from_numpy(mean))
            self.norm.running_var.copy_(torch.from_numpy(variance))

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x)

    def keras(self) -> list[Tensor]:
        norm = self.norm
        return [norm.weight, norm.bias, norm.running_mean, norm.running_var]


class _RandomFlip(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        flip = torch.rand(len(x), 1, 1, 1, device=x.device) < 0.5
        return torch.where(flip, x.flip(-1), x)


class _RandomTurn(nn.Module):
    """Random rotation or zoom about the centre; what comes in from outside is 0."""

    def __init__(self, layer: keras.Layer):
        super().__init__()
        self.rotates = isinstance(layer, keras.layers.RandomRotation)
        if self.rotates:
            self.low, self.high = (2 * np.pi * f for f in layer.factor)
        else:
            self.low, self.high = layer.height_lower, layer.height_upper

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        angle = torch.empty(len(x), device=x.device).uniform_(self.low, self.high)
        scale, angle = (1.0, angle) if self.rotates else (1 + angle, torch.zeros_like(angle))
        c, s, o = scale * torch.cos(angle), scale * torch.sin(angle), torch.zeros_like(angle)
        turn = torch.stack([torch.stack([c, -s, o], 1), torch.stack([s, c, o], 1)], 1)
        grid = F.affine_grid(turn, list(x.shape), align_corners=False)
        return F.grid_sample(x, grid, align_corners=False).contiguous(
            memory_format=torch.channels_last
        )


class _ThreeChannels(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        kernels = torch.from_numpy(three_channels.KERNELS).permute(3, 2, 0, 1).contiguous()
        self.register_buffer("kernels", kernels, persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        with torch.autocast(image.device.type, enabled=False):
            slopes = F.conv2d(image, self.kernels, padding=1)
        edges = (slopes.square().sum(1, keepdim=True) + 1e-12).sqrt().clamp_max(1)
        brightened = (image * three_channels.GAIN).clamp_max(1)
        x = torch.cat([image, brightened, edges], 1) * 2 - 1
        return x.contiguous(memory_format=torch.channels_last)


class _Function(nn.Module):
    """A layer without weights."""

    def __init__(self, function: Function):
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def _twin_of(layer: keras.Layer) -> nn.Module:
    for kinds, twin in TWINS:
        if isinstance(layer, kinds):
            return twin(layer)
    for kind, function in FUNCTIONS.items():
        if isinstance(layer, kind):
            return _Function(function(layer))
    raise TypeError(f"{layer.name} ({type(layer).__name__}) has no twin in PyTorch: add one here.")


def _max_pooling(layer: keras.Layer) -> Function:
    same, window, strides = layer.padding == "same", layer.pool_size, tuple(layer.strides)

    def pool(x: Tensor) -> Tensor:
        if same and window == strides:  # nothing before, the rest at the end
            return F.max_pool2d(x, window, ceil_mode=True)
        return F.max_pool2d(
            _pad_same(x, window, strides, -torch.inf) if same else x, window, strides
        )

    return pool


def _parameter(weight: np.ndarray) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(np.ascontiguousarray(weight)))


def _activation(layer: keras.Layer) -> Function:
    functions = {
        keras.activations.linear: lambda x: x,
        keras.activations.relu: F.relu,
        keras.activations.sigmoid: lambda x: torch.sigmoid(x.float()),
        keras.activations.softmax: lambda x: torch.softmax(x, -1),
    }
    if layer.activation not in functions:
        raise TypeError(f"{layer.name}: its activation has no twin in PyTorch.")
    return functions[layer.activation]


TWINS = [
    (keras.layers.InputLayer, lambda _: nn.Identity()),
    ((keras.layers.SeparableConv2D, keras.layers.Conv2D), _Convolution),
    (keras.layers.BatchNormalization, _BatchNorm),
    (keras.layers.Dense, _Dense),
    (keras.layers.SpatialDropout2D, lambda layer: nn.Dropout2d(layer.rate)),
    (keras.layers.RandomFlip, lambda _: _RandomFlip()),
    ((keras.layers.RandomRotation, keras.layers.RandomZoom), _RandomTurn),
    (three_channels.ThreeChannels, lambda _: _ThreeChannels()),
]
FUNCTIONS = {
    keras.layers.ReLU: lambda _: F.relu,
    keras.layers.Softmax: lambda _: lambda x: torch.softmax(x, -1),
    keras.layers.Activation: _activation,
    keras.layers.MaxPooling2D: _max_pooling,
    keras.layers.UpSampling2D: lambda layer: lambda x: F.interpolate(x, scale_factor=layer.size),
    keras.layers.GlobalMaxPooling2D: lambda _: lambda x: x.amax((2, 3)),
    keras.layers.GlobalAveragePooling2D: lambda _: lambda x: x.mean((2, 3)),
    keras.layers.Flatten: lambda _: lambda x: x.movedim(1, -1).flatten(1),  # Keras's order
    keras.layers.Add: lambda _: sum,
    keras.layers.Concatenate: lambda _: lambda parts: torch.cat(parts, 1),
    keras.layers.Rescaling: lambda layer: lambda x: x * layer.scale + layer.offset,
}
