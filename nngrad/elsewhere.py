"""Names that PyTorch or NumPy has and nngrad has not, and what to write for them: the end of an AttributeError."""

from importlib import import_module
from types import ModuleType

import numpy as np

ARITHMETIC = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "true_divide": "/", "pow": "**", "mm": "@", "bmm": "@", "mv": "@",
    "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=",
}  # fmt: skip
OF_PYTORCH = {name: f"x {sign} y" for name, sign in ARITHMETIC.items()} | {
    "add_": "x[...] = x + y", "addcdiv": "x + value * a / b", "addcmul": "x + value * a * b", "addmm": "b + x @ y",
    "as_tensor": "Tensor(data)", "autograd": "nngrad.gradients(y, xs)", "baddbmm": "b + x @ y",
    "bernoulli": "Tensor(np.random.random(x.shape) < x.numpy())", "bool": "x.astype(bool)",
    "cat": "nngrad.concat([x, y], axis)", "cdist": "nngrad.norm(x[:, None] - y, axis=-1)",
    "chunk": "x.split(sections, axis)", "clamp": "x.clip(min, max)", "clamp_": "x[...] = x.clip(min, max)",
    "clamp_max": "x.clip(max=max)", "clamp_min": "x.clip(min)", "compile": "nothing: there is no compiler",
    "copy": "x.clone()", "copy_": "x[...] = y", "detach_": "x = x.detach()", "dim": "x.ndim", "div_": "x[...] = x / y",
    "double": "x.astype(np.float64)", "enable_grad": "Tensor.grad_is_enabled = True",
    "expand": "x.broadcast(shape)", "expand_as": "x.broadcast(y.shape)", "fill_": "x[...] = value",
    "flat": "x.reshape(-1)", "float": "x.astype(np.float32)", "FloatTensor": "Tensor(data)",
    "from_numpy": "Tensor(array)", "func": "nngrad.grad, nngrad.jvp, nngrad.hessian and the like",
    "half": "x.astype(np.float16)",
    "jit": "nothing: there is no compiler",
    "indices": "x.argmax(axis) or x.argsort(axis): max(axis) and sort() give values alone",
    "inference_mode": "no_grad()",
    "init": "layer.weight.data = np.random.normal(size=layer.weight.shape), say", "int": "x.astype(int)",
    "is_floating_point": "x.dtype.kind == 'f'", "is_grad_enabled": "Tensor.grad_is_enabled",
    "is_leaf": "x.grad_fn is None", "is_tensor": "isinstance(x, Tensor)",
    "load": "dict(np.load(file)), for load_state_dict", "logit": "nngrad.log(x / (1 - x))", "long": "x.astype(int)",
    "kthvalue": "x.sort(axis)[..., k - 1]", "LongTensor": "Tensor(data, dtype=int)",
    "lr_scheduler": "optim.StepLR, optim.CosineAnnealingLR or optim.LambdaLR", "masked_fill_": "x[mask] = value",
    "masked_select": "x[mask]", "movedim": "x.moveaxis(source, destination)", "mT": "x.swapaxes(-1, -2)",
    "mul_": "x[...] = x * y", "multinomial": "np.random.choice(len(x), p=x.numpy())", "narrow": "x[start:stop]",
    "nbytes": "x.data.nbytes", "ndimension": "x.ndim", "neg": "-x", "nelement": "x.size",
    "new_ones": "Tensor(np.ones(shape))", "new_tensor": "Tensor(data)", "new_zeros": "Tensor(np.zeros(shape))",
    "normal_": "x[...] = np.random.normal(size=x.shape)", "numel": "x.size",
    "rand_like": "Tensor(np.random.random(x.shape))", "randn_like": "Tensor(np.random.normal(size=x.shape))",
    "randperm": "np.random.permutation(n)",
    "register_hook": "x.retain_grad(), and read x.grad after backward(); there are no hooks",
    "repeat_interleave": "x.repeat(repeats, axis)", "requires_grad_": "x.set_requires_grad(True), or False",
    "save": "np.savez(file, **model.state_dict())", "seed": "nngrad.manual_seed(n)", "select": "x[index]",
    "set_grad_enabled": "Tensor.grad_is_enabled = False", "sub_": "x[...] = x - y",
    "swapdims": "x.swapaxes(axis1, axis2)", "t": "x.T()", "tensor": "Tensor(data)",
    "to": "x.astype(dtype); there are no devices", "type": "x.astype(dtype)", "unbind": "tuple(x)",
    "uniform_": "x[...] = np.random.uniform(size=x.shape)", "unsqueeze": "x.expand_dims(axis)",
    "values": "nothing: max(axis) and sort() give values alone", "view": "x.reshape(shape)",
    "view_as": "x.reshape(y.shape)", "vmap": "ops on arrays with one axis more: they broadcast",
    "zero_": "x[...] = 0", "zero_grad": "x.reset_grad()",
    **{
        name: f"np.{name}(x.numpy(), ...), without gradients" for name in ("cov", "cross", "kron", "quantile", "unique")
    },
    **dict.fromkeys(("index_add", "scatter_add_"), "x + nngrad.scatter_add(y, x.shape, index)"),
    **dict.fromkeys(
        ("index_copy", "index_fill", "index_put_", "masked_scatter", "scatter", "scatter_"),
        "y = x.clone(), and y[index] = value with an index as NumPy has it",
    ),
    **dict.fromkeys(
        ("contiguous", "cpu", "cuda", "device", "is_cuda", "pin_memory"), "nothing: all arrays are in main memory"
    ),
}  # fmt: skip

OF_LAYERS_AND_SCHEDULES = {
    "EmbeddingBag": "Embedding, and mean() or sum() over an axis",
    "ExponentialLR": "LambdaLR(optimizer, lambda epoch: gamma**epoch)",
    "MultiStepLR": "LambdaLR(optimizer, lambda epoch: gamma ** bisect.bisect(milestones, epoch))",
    "Parameter": "Tensor(data, requires_grad=True)",
    "ParameterList": "an attribute for each: setattr(self, f'weight{i}', Tensor(data, requires_grad=True))",
    "ReduceLROnPlateau": "group['lr'] *= factor, for each group in optimizer.param_groups",
    "Softmax2d": "Softmax(axis=-3)", "Unflatten": "x.reshape(shape) in forward()",
    "gumbel_softmax": "F.softmax((x + np.random.gumbel(size=x.shape)) / tau)",
    "parameters_to_vector": "nngrad.concat([p.ravel() for p in model.parameters()])",
    **dict.fromkeys(("interpolate", "Upsample"), "x.repeat(2, -2).repeat(2, -1), which is the nearest neighbour"),
    **dict.fromkeys(("AdaptiveMaxPool1d", "adaptive_max_pool1d"), "x.max(-1, keepdims=True) for a single window"),
    **dict.fromkeys(("AdaptiveMaxPool2d", "adaptive_max_pool2d"), "x.max((-2, -1), keepdims=True) for a single window"),
    **dict.fromkeys(
        ("PixelShuffle", "pixel_shuffle"),
        "x.reshape(n, c, r, r, h, w).transpose(0, 1, 4, 2, 5, 3).reshape(n, c, r * h, r * w)",
    ),
    **dict.fromkeys(
        ("PixelUnshuffle", "pixel_unshuffle"),
        "x.reshape(n, c, h, r, w, r).transpose(0, 1, 3, 5, 2, 4).reshape(n, c * r * r, h, w)",
    ),
    **dict.fromkeys(
        ("MultiheadAttention", "Transformer", "TransformerDecoder", "TransformerDecoderLayer", "TransformerEncoder",
         "TransformerEncoderLayer"),
        "a Module of Linear layers around F.scaled_dot_product_attention(query, key, value)",
    ),
    **dict.fromkeys(
        ("GRU", "GRUCell", "LSTM", "LSTMCell", "RNN", "RNNCell"), "a loop over the steps, of Linear layers"
    ),
    **dict.fromkeys(
        ("ConstantPad1d", "ConstantPad2d", "ReflectionPad1d", "ReflectionPad2d", "ReplicationPad2d", "ZeroPad2d"),
        "nngrad.pad(x, pad_width, mode) in forward()",
    ),
    **dict.fromkeys(
        ("ConstantLR", "CosineAnnealingWarmRestarts", "LinearLR", "OneCycleLR", "PolynomialLR", "SequentialLR"),
        "LambdaLR(optimizer, function), with what the first rate is multiplied by in each epoch",
    ),
}  # fmt: skip

WITHOUT_EQUAL = {  # there is nothing to write for these
    **dict.fromkeys(
        ("AvgPool3d", "BatchNorm3d", "Conv3d", "ConvTranspose3d", "Dropout3d", "InstanceNorm3d", "MaxPool3d",
         "avg_pool3d", "conv3d", "conv_transpose3d", "max_pool3d"),
        "layers are for signals and images, and none for volumes",
    ),
    **dict.fromkeys(
        ("ASGD", "Adadelta", "Adafactor", "Adagrad", "Adamax", "LBFGS", "NAdam", "RAdam", "Rprop", "SparseAdam"),
        "there are SGD, RMSprop, Adam and AdamW; another is a subclass of Optimizer that defines _update",
    ),
    **dict.fromkeys(
        ("cholesky", "det", "eig", "inverse", "linalg", "logdet", "pinverse", "qr", "slogdet", "solve", "svd"),
        "of linear algebra there are products and norms; np.linalg has the rest, without gradients",
    ),
    **dict.fromkeys(("CTCLoss", "ctc_loss"), "no loss aligns sequences"),
    **dict.fromkeys(("affine_grid", "grid_sample"), "nothing reads between pixels"),
    **dict.fromkeys(("GradScaler", "amp", "autocast"), "there is no mixed precision"),
    **dict.fromkeys(("spectral_norm", "weight_norm"), "a layer may compute its weight in forward()"),
}  # fmt: skip

OF_MODULES = {
    **dict.fromkeys(("cpu", "cuda", "to"), OF_PYTORCH["cpu"]),
    **{
        name: f"nngrad.set_default_dtype(np.{dtype}) before the model is made"
        for name, dtype in {"double": "float64", "float": "float32", "half": "float16"}.items()
    },
    **dict.fromkeys(
        ("register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook"),
        "a subclass whose forward() does it; there are no hooks",
    ),
    "add_module": "self.name = module",
    "get_parameter": "dict(model.named_parameters())[name]",
    "get_submodule": "dict(model.named_modules())[name]",
    "register_parameter": "self.name = Tensor(data, requires_grad=True)",
    "requires_grad_": "for p in model.parameters(): p.set_requires_grad(False)",
}


class Elsewhere:
    """In place of a method that is not there: asked for, it says what to write instead.

    `__getattr__` would do so for every name, and make all attributes of its class slow.
    """

    def __init__(self, name, instead=None):
        self.name = name
        self.instead = instead

    def __get__(self, instance, owner):
        hint = f"; write {self.instead}" if self.instead else whereabouts(self.name)
        raise no_attribute(f"a {owner.__name__}", self.name, (), hint)


NO_METHOD = Elsewhere("")


class NoFunction(ModuleType):
    """A module with the name of a function that PyTorch has: called, it says what to write instead."""

    def __call__(self, *args, **kwargs):
        raise TypeError(f"{self.__name__} is a module; write {OF_PYTORCH[self.__name__.rpartition('.')[2]]}")


def no_attribute(owner, name, names, hint=""):
    """The AttributeError for an owner, which says which of its `names` come close, or gives a hint of its own."""
    from difflib import get_close_matches  # only here, where time is of no account

    close = [own for own in names if own.lower() == name.lower()] or get_close_matches(name, names, n=2, cutoff=0.75)
    if close and not hint:
        hint = f"; did you mean {' or '.join(close)}?"
    elif not hint and 0 < len(names) < 10:
        hint = f"; it has {', '.join(names)}"
    error = AttributeError(f"{owner} has no attribute {name!r}{hint}")
    if hint:
        error.name, error.obj = name, None  # else Python looks in the owner, and adds a guess of its own
    return error


def whereabouts(name):
    """Where a name is that `nngrad`, or a Tensor, has not, or what to write for it; '' if it is known nowhere."""
    functions = import_module("nngrad.functions")
    for names in (OF_PYTORCH, OF_LAYERS_AND_SCHEDULES):
        if name in names:
            return f"; write {names[name]}"
    if name in WITHOUT_EQUAL:
        return f"; {WITHOUT_EQUAL[name]}"
    if name in functions.public_names():
        return f"; write nngrad.{name}(...)"
    if not isinstance(vars(import_module("nngrad.tensor").Tensor).get(name, NO_METHOD), Elsewhere):
        return f"; it is a Tensor's, write x.{name}"
    if name in functions.WITHOUT_GRADIENT:
        return f"; write np.{name}(...)"
    for home in ("nngrad.nn.functional", "nngrad.nn", "nngrad.optim", "nngrad.nn.utils"):
        if name in import_module(home).__all__:
            return f"; it is in {home}"
    for path, module in (("np", np), ("np.random", np.random)):
        theirs = getattr(module, name, None)
        if theirs is not None:
            is_function = callable(theirs) and not isinstance(theirs, type)
            written = f"Tensor({path}.{name}(...)), without gradients" if is_function else f"{path}.{name}"
            return f"; it is NumPy's alone, write {written}"
    return ""
