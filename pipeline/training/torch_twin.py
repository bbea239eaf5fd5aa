"""Train a Keras model with PyTorch's kernels: the same graph, the same weights, other kernels.

PyTorch's CPU convolutions in channels-last memory make a training step faster than TensorFlow's
(``python -m pipeline bench`` says by how much), and a GPU image that only has PyTorch trains the
same models. Keras stays the one place where a model is
written down: the twin walks the built graph and replaces each layer.
"""

import keras
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


class TorchTwin(nn.Module):
    """A PyTorch module with the graph and the weights of a functional Keras model.

    Takes and returns float32 tensors with Keras's axes, (batch, rows, columns, channels), so that
    losses and metrics read alike in both worlds. Raises TypeError for a layer it has no twin of.
    """

    def __init__(self, model: keras.Model):
        super().__init__()
        self.model = model
        self.twins = nn.ModuleDict({op.name: _twin_of(op) for op in model.layers})

    def forward(self, film: torch.Tensor) -> torch.Tensor:
        x = film.movedim(-1, 1).contiguous(memory_format=torch.channels_last)
        y = self.model._run_through_graph(x, operation_fn=self._twin_call)
        return y.movedim(1, -1) if y.ndim == 4 else y

    def _twin_call(self, layer):
        twin = self.twins[layer.name]
        return lambda *inputs, **_: twin(*inputs)  # Keras adds `mask` and `training`

    def write_back(self) -> keras.Model:
        """Copy the twin's weights into the Keras model, and return it."""
        for layer in self.model.layers:
            if layer.weights:
                layer.set_weights(
                    [w.detach().cpu().numpy() for w in self.twins[layer.name].keras()]
                )
        return self.model


class _Convolution(nn.Module):
    """Conv2D and SeparableConv2D, stride 1.

    A separable convolution has nothing between its two halves, so it equals one convolution with
    the product of their kernels; at these widths the single dense kernel is faster to train.
    """

    def __init__(self, layer):
        super().__init__()
        if tuple(layer.strides) != (1, 1) or tuple(layer.dilation_rate) != (1, 1):
            raise TypeError(f"{layer.name}: only stride 1 without dilation has a twin.")
        self.halves = nn.ParameterList(map(_parameter, layer.get_weights()))
        self.separable = isinstance(layer, keras.layers.SeparableConv2D)
        self.bias = self.halves[-1] if layer.use_bias else None
        self.relu = _is_relu(layer)
        self.sigmoid = layer.activation is keras.activations.sigmoid
        rows, columns = layer.kernel_size
        same = layer.padding == "same"
        # Keras pads an even kernel one more at the end.
        self.pads = ((columns - 1) // 2, columns // 2, (rows - 1) // 2, rows // 2) if same else None

    def forward(self, x):
        kernel = self.halves[0]
        if self.separable:
            channels, multiplier = kernel.shape[2:]
            pointwise = self.halves[1].reshape(channels, multiplier, -1)
            kernel = torch.einsum("hwcm,cmf->hwcf", kernel, pointwise)
        kernel = kernel.permute(3, 2, 0, 1)
        if self.pads and self.pads[0] == self.pads[1]:
            y = F.conv2d(x, kernel, self.bias, padding=self.pads[::2])
        else:
            y = F.conv2d(F.pad(x, self.pads) if self.pads else x, kernel, self.bias)
        return F.relu(y) if self.relu else torch.sigmoid(y) if self.sigmoid else y

    def keras(self):
        return list(self.halves)


class _Dense(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.kernel, self.bias = map(_parameter, layer.get_weights())
        self.relu = _is_relu(layer)
        self.softmax = layer.activation is keras.activations.softmax

    def forward(self, x):
        y = x @ self.kernel + self.bias
        return F.relu(y) if self.relu else torch.softmax(y, -1) if self.softmax else y

    def keras(self):
        return [self.kernel, self.bias]


class _BatchNorm(nn.Module):
    def __init__(self, layer):
        super().__init__()
        gamma, beta, mean, variance = layer.get_weights()
        self.norm = nn.BatchNorm2d(len(gamma), eps=layer.epsilon, momentum=1 - layer.momentum)
        with torch.no_grad():
            self.norm.weight.copy_(torch.from_numpy(gamma))
            self.norm.bias.copy_(torch.from_numpy(beta))
            self.norm.running_mean.copy_(torch.from_numpy(mean))
            self.norm.running_var.copy_(torch.from_numpy(variance))

    def forward(self, x):
        return self.norm(x)

    def keras(self):
        norm = self.norm
        return [norm.weight, norm.bias, norm.running_mean, norm.running_var]


class _RandomFlip(nn.Module):
    def forward(self, x):
        if not self.training:
            return x
        flip = torch.rand(len(x), 1, 1, 1, device=x.device) < 0.5
        return torch.where(flip, x.flip(-1), x)


class RandomRotation(nn.Module):
    """Rotation about the centre by up to ``factor`` of a turn; what comes in from outside is 0."""

    def __init__(self, layer):
        super().__init__()
        self.low, self.high = (2 * np.pi * f for f in layer.factor)
        self.on = True

    def forward(self, x):
        if not (self.training and self.on):
            return x
        angle = torch.empty(len(x), device=x.device).uniform_(self.low, self.high)
        c, s, o = torch.cos(angle), torch.sin(angle), torch.zeros_like(angle)
        turn = torch.stack([torch.stack([c, -s, o], 1), torch.stack([s, c, o], 1)], 1)
        grid = F.affine_grid(turn, list(x.shape), align_corners=False)
        return F.grid_sample(x, grid, align_corners=False).contiguous(
            memory_format=torch.channels_last
        )


class _Function(nn.Module):
    """A layer without weights."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def _twin_of(layer) -> nn.Module:
    k = keras.layers
    match layer:
        case k.InputLayer():
            return nn.Identity()
        case k.SeparableConv2D() | k.Conv2D():
            return _Convolution(layer)
        case k.BatchNormalization():
            return _BatchNorm(layer)
        case k.Dense():
            return _Dense(layer)
        case k.ReLU():
            return _Function(F.relu)
        case k.MaxPooling2D():  # padding "same" adds at the end, as ceil mode does
            same = layer.padding == "same"
            return _Function(lambda x: F.max_pool2d(x, layer.pool_size, ceil_mode=same))
        case k.UpSampling2D():
            return _Function(lambda x: F.interpolate(x, scale_factor=layer.size))
        case k.GlobalMaxPooling2D():
            return _Function(lambda x: x.amax((2, 3)))
        case k.Add():
            return _Function(sum)
        case k.RandomFlip():
            return _RandomFlip()
        case k.RandomRotation():
            return RandomRotation(layer)
    raise TypeError(f"{layer.name} ({type(layer).__name__}) has no twin in PyTorch: add one here.")


def _parameter(weight: np.ndarray) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(np.ascontiguousarray(weight)))


def _is_relu(layer) -> bool:
    return layer.activation is keras.activations.relu
