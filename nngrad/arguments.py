"""Arguments given by a name that a function has not, as PyTorch's: a TypeError that says what to write instead."""

from functools import wraps
from inspect import isfunction, signature

OF_ARGUMENTS = {  # PyTorch's name of an argument: ours, the first of these that a function has
    "dim": ("axis", "axes"), "dims": ("axis", "axes"), "keepdim": ("keepdims",), "bias": ("use_bias",), "p": ("ord",),
    "correction": ("ddof",), "other": ("x2", "b"), "learning_rate": ("lr",), "gradient": ("grad",),
    "outputs": ("y",), "inputs": ("xs",), "grad_outputs": ("cotangent",), "diagonal": ("k",), "shifts": ("shift",),
    "dim0": ("axis1",), "dim1": ("axis2",),
}  # fmt: skip
INSTEAD_OF_ARGUMENTS = {
    "unbiased": "write ddof=1 for True, ddof=0 for False", "size_average": "write reduction='mean' or reduction='sum'",
    "reduce": "write reduction='none' for False", "descending": "flip the result",
    "dtype": "write x.astype(dtype), or nngrad.set_default_dtype(dtype) before a model is made",
    "set_to_none": "leave it out, no step follows a gradient that was reset",
    "allow_unused": "leave it out, what y does not depend on has zeros",
    "retain_graph": "leave it out, the graph is kept",
    "create_graph": "write nngrad.gradients(y, xs, create_graph=True)",
    "return_indices": "leave it out, windows give values alone",
    "padding_mode": "pad the input before, by nngrad.pad(x, pad_width, mode)",
    "rounding_mode": "write nngrad.floor(x / y) or nngrad.trunc(x / y)", "sparse": "leave it out, gradients are dense",
    "assign": "leave it out, values are copied", "last_epoch": "leave it out, load_state_dict() resumes a schedule",
    **dict.fromkeys(("device", "pin_memory"), "leave it out, all arrays are in main memory"),
    **dict.fromkeys(("inplace", "out"), "leave it out, results are new Tensors"),
}  # fmt: skip


def refuse_arguments(name, takes, given):
    """Raise the TypeError for arguments `given` by names that are not among those that a function `takes`."""
    from difflib import get_close_matches  # only here, where time is of no account

    unknown = next(iter(given))
    ours = [one for one in OF_ARGUMENTS.get(unknown, ()) if one in takes]
    if ours:
        hint = f"write {ours[0]}"
    elif unknown in INSTEAD_OF_ARGUMENTS:
        hint = INSTEAD_OF_ARGUMENTS[unknown]
    elif close := get_close_matches(unknown, takes, n=1):
        hint = f"did you mean {close[0]}?"
    else:
        hint = f"it takes {', '.join(takes) or 'none'}"
    raise TypeError(f"{name}() got an unexpected keyword argument {unknown!r}; {hint}") from None


def refuse_unknown(name, function, given):
    """`refuse_arguments` for those of the names `given` that are no argument of a function, if there are any."""
    parameters = signature(function).parameters.values()
    if not any(one.kind is one.VAR_KEYWORD for one in parameters):
        takes = [one.name for one in parameters if one.name != "self"]
        if unknown := [one for one in given if one not in takes]:
            refuse_arguments(name, takes, unknown)


def tells_arguments(function):
    """A decorator: called with an argument of another name, the function says which names there are."""

    @wraps(function)
    def call(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except TypeError as error:
            if error.__traceback__.tb_next is None:  # it never began
                refuse_unknown(function.__name__, function, kwargs)
            raise

    return call


def methods_tell_arguments(cls):
    """A decorator: `tells_arguments` for all public methods that are written in a class."""
    for name, method in list(vars(cls).items()):
        if isfunction(method) and not name.startswith("_"):
            setattr(cls, name, tells_arguments(method))
    return cls
