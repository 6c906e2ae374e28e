"""Derivatives of functions: grad, vjp, jvp, hvp, jacobian, hessian, with JAX's conventions, and a check of them.

Each call gives `f` variables of its own, so that nested calls never mistake each other's. If anything else that
requires grad was used, another call's variable among it, the derivative is computed with a graph of its own, hence can
be differentiated again; otherwise by the plain kernels.
"""

import math
from functools import wraps

import numpy as np

from nngrad import modes
from nngrad.arguments import tells_arguments
from nngrad.backward import starting_cotangent, unshared
from nngrad.differentiable import pull_tensors, push_tensors
from nngrad.engine import history, pull_arrays, pull_back, push_arrays, push_forward
from nngrad.functions import CLONE, concat, stack
from nngrad.graph import Node, record, vertex, wrap
from nngrad.inputs import as_array, as_operand
from nngrad.memory import refuse_outdated
from nngrad.modes import GradMode, noted_readings, this_thread
from nngrad.tensor import Tensor

# --- one call of f with variables of its own -------------------------------------------------------------------------


class Trace:
    """`f(*args, **kwargs)`, recorded, with fresh variables for the arguments `argnums` (None: for all).

    y: the output, a Tensor; aux: what else f returned under `has_aux`; variables: the Tensors it was computed from;
    sources: where these stand in the graph; differentiable: whether derivatives of y shall have a graph of their own.
    """

    def __init__(self, f, argnums, args, kwargs=None, has_aux=False):
        check_function(f)
        outer = this_thread.records
        args = list(args)
        self.single = isinstance(argnums, int)
        places = range(len(args)) if argnums is None else (argnums,) if self.single else argnums
        places = [place_of(n, len(args)) for n in places]
        for n in places:
            args[n] = variable(args[n], f"argument {n}", outer)
        self.variables = [args[n] for n in places]
        self.sources = [vertex(x) for x in self.variables]  # now, since f may assign to their items
        with GradMode(True), noted_readings() as readings:
            y = f(*args, **(kwargs or {}))
            self.aux = None
            if has_aux:
                if not (isinstance(y, tuple) and len(y) == 2):
                    raise TypeError(f"with has_aux, f must return a pair (output, aux), not {type(y).__name__}")
                y, self.aux = y
            self.y = output_tensor(y)
        if not self.y.requires_grad:
            refuse_lost(readings, self.sources)
        self.differentiable = outer and uses_others(self.y, self.sources)

    def value(self):
        """The output as the caller of the derivative gets it."""
        return self.y if self.differentiable else self.y.detach()

    def pull(self, cotangent):
        """The gradient of <y, cotangent> with respect to the variables, as Tensors; cotangent: an array or Tensor."""
        create_graph = self.differentiable or tracked(cotangent)
        return vector_jacobian(self.y, self.variables, self.sources, cotangent, create_graph)

    def push(self, tangents):
        """The derivative of y along `tangents`, one for each variable, as a Tensor."""
        create_graph = self.differentiable or any(map(tracked, tangents))
        if not self.y.requires_grad:
            return wrap(np.zeros(self.y.shape, self.y.dtype))
        if not create_graph:
            tangents = [plain(t) for t in tangents]
        with GradMode(True):
            push = push_tensors if create_graph else push_arrays
            dy = push_forward(vertex(self.y), dict(zip(self.sources, tangents, strict=True)), push)
        if dy is None:
            dy = np.zeros(self.y.shape, self.y.dtype)
        return dy if isinstance(dy, Tensor) else wrap(dy.copy())

    def pack(self, results):
        """One result for each variable, in the form that `argnums` had."""
        return results[0] if self.single else tuple(results)


def check_function(f):
    """TypeError unless f can be called."""
    if not callable(f):
        raise TypeError(
            f"f must be a function, not a {type(f).__name__}; for the gradients of a Tensor that is computed already "
            "write gradients(y, xs)"
        )


def checked_argnums(f, argnums):
    """`argnums` as an int or a tuple of them, for a function f; TypeError for anything else, such as f's arguments."""
    check_function(f)
    places = argnums if isinstance(argnums, (tuple, list, range)) else (argnums,)
    if not all(isinstance(n, (int, np.integer)) for n in places):
        raise TypeError(
            f"argnums must be the number of an argument of f or a tuple of numbers, not {argnums!r}; f's arguments go "
            "to the function that is returned, as in grad(f)(x)"
        )
    return tuple(map(int, places)) if places is argnums else int(argnums)


def output_tensor(y):
    """What f returned as a Tensor; TypeError for NumPy's arrays, which come of leaving the graph, and for several."""
    if y is None:
        raise TypeError("the output of f is None; return a Tensor")
    if isinstance(y, (tuple, list)) and any(isinstance(part, Tensor) for part in y):
        raise TypeError(
            f"the output of f is a {type(y).__name__} of Tensors, but a derivative is that of one; join them by "
            "nngrad.stack or nngrad.concat, or have grad(f, has_aux=True) hand on what needs no derivative"
        )
    if isinstance(y, np.ndarray | np.generic):
        raise TypeError(
            f"f returned a NumPy {type(y).__name__}, which does not know what it was computed from, so that its "
            "gradient would be zeros; compute with Tensors, not with their numpy() or data"
        )
    return y if isinstance(y, Tensor) else wrap(as_operand(y, "the output of f"))


def refuse_lost(readings, sources):
    """TypeError if one of the Tensors read as numbers depends on the variables, for an output without a graph."""
    seen = set()
    for tensor in readings:
        stack = [vertex(tensor)]
        while stack:
            at = stack.pop()
            if at in sources:
                raise TypeError(
                    f"the output of f does not know what it was computed from, so that its gradient would be zeros: f "
                    f"read a Tensor of shape {tensor.shape} by item(), float(), numpy() or the like; compute with "
                    "Tensors"
                )
            if isinstance(at, Node) and at not in seen:
                seen.add(at)
                stack.extend(at.parents)


def uses_others(y, sources):
    """Whether y depends on a leaf that requires grad, or on a variable of another call: a Node without parents."""
    root = vertex(y)
    if root is None or isinstance(root, Tensor):
        return root is not None
    for node in history(root):
        if any(isinstance(parent, Tensor) for parent in node.parents):
            return True
        if node not in sources and all(parent is None for parent in node.parents):
            return True
    return False


def place_of(argnum, count):
    """An argument's place in 0 ... count - 1."""
    if not -count <= argnum < count:
        raise ValueError(
            f"argnums names argument {argnum}, but f was called with {count} positional arguments; give it by position"
        )
    return argnum % count


def variable(x, what, outer):
    """A fresh variable with the value of x, and with x as its parent if x requires grad and `outer` mode records."""
    array = differentiable_array(x, what)
    parent = vertex(x) if outer and isinstance(x, Tensor) else None
    given = (x,) if isinstance(x, Tensor) else None
    return record(array, CLONE, {}, (parent,), (parent is not None,), (array, array), given)


def differentiable_array(x, what):
    """A fresh floating array: of x's own dtype, of the default dtype for Python numbers and lists; no integers."""
    try:
        array = np.array(plain(x)) if isinstance(x, Tensor) else as_array(x, what)
    except (TypeError, ValueError) as error:
        if not isinstance(x, (tuple, list, dict)):
            raise
        raise type(error)(
            f"{what} must be an array, not a {type(x).__name__} of several; make each an argument of its own, "
            "and name them by argnums, as in argnums=(0, 1)"
        ) from error
    if not isinstance(x, (Tensor, np.ndarray, np.generic)):
        return array.astype(modes.default_dtype)
    if array.dtype.kind != "f":
        raise TypeError(
            f"{what} has dtype {array.dtype}, but only floating values have derivatives; make it floating, or leave "
            "it out of argnums"
        )
    return array


def plain(x):
    return x.data if isinstance(x, Tensor) else x


def tracked(x):
    return isinstance(x, Tensor) and x.requires_grad and this_thread.records


def like(x, value, what):
    """`x` as a tangent or cotangent of `value`: same shape, cast to its dtype; a Tensor keeps its history."""
    shape = np.shape(plain(x))
    if shape != value.shape:
        raise ValueError(
            f"{what} has shape {shape}, but the value it belongs to has shape {value.shape}; they must be the same"
        )
    if tracked(x):
        return x if x.dtype == value.dtype else x.astype(value.dtype)
    return wrap(as_array(plain(x), what).astype(value.dtype, copy=False))


def scalar_cotangent(y):
    """A one for a scalar output; TypeError otherwise."""
    if y.ndim != 0 or y.dtype.kind != "f":
        raise TypeError(
            f"grad needs a function with a scalar floating output, this one returned shape {y.shape}, dtype {y.dtype}; "
            "reduce it, as with sum(), or use jacobian or vjp"
        )
    return np.ones((), y.dtype)


def vector_jacobian(y, xs, sources, cotangent, create_graph):
    """The gradients of <y, cotangent> with respect to xs, Tensors which stand at `sources`; zeros where unused."""
    found, start, pull = {}, plain(cotangent), pull_arrays
    if create_graph:
        start, pull = cotangent if isinstance(cotangent, Tensor) else wrap(cotangent), pull_tensors
    if y.requires_grad:
        refuse_outdated("gradient", y)
        with GradMode(True):
            found = pull_back(vertex(y), start, set(sources), pull, retain_graph=True)
    gs = [found.get(source) for source in sources]
    gs = [np.zeros(x.shape, x.dtype) if g is None else g for g, x in zip(gs, xs, strict=True)]
    if create_graph:
        return tuple(g if isinstance(g, Tensor) else wrap(g) for g in gs)
    seen = {id(start)}
    return tuple(wrap(unshared(g, seen)) for g in gs)


# --- public ----------------------------------------------------------------------------------------------------------


@tells_arguments
def gradients(y, xs, cotangent=None, create_graph=False):
    """The gradients of y with respect to xs, Tensors of the graph behind y; no `.grad` is touched, the graph is kept.

    xs: a Tensor, or a sequence of them, for which a tuple is returned; zeros where y does not depend on one.
    cotangent: as y in shape; a single element needs none.
    create_graph: give the gradients a graph of their own, so that they can be differentiated again.

    Raises TypeError if y or xs are not Tensors, RuntimeError if one of them does not require grad, if the cotangent
    is missing or has another shape than y.
    """
    targets = (xs,) if isinstance(xs, Tensor) else tuple(xs)
    for x in (y, *targets):
        if not isinstance(x, Tensor):
            raise TypeError(f"gradients() is for Tensors, not {type(x).__name__}; for functions of arrays use grad()")
        if not x.requires_grad:
            raise RuntimeError(
                f"a Tensor of shape {x.shape} given to gradients() does not require grad; set requires_grad=True on "
                "the leaf before the forward"
            )
    g = starting_cotangent(y, cotangent)
    if create_graph and cotangent is not None:
        g = like(cotangent, y, "cotangent")
    results = vector_jacobian(y, targets, [vertex(x) for x in targets], g, create_graph)
    return results[0] if isinstance(xs, Tensor) else results


def value_and_grad(f, argnums=0, has_aux=False):
    """A function that returns `(f(...), gradient)`; with `has_aux`, `((output, aux), gradient)`. See `grad`."""
    argnums = checked_argnums(f, argnums)

    @wraps(f, updated=())
    def value_and_gradient(*args, **kwargs):
        trace = Trace(f, argnums, args, kwargs, has_aux)
        gradient = trace.pack(trace.pull(scalar_cotangent(trace.y)))
        return (trace.value(), trace.aux) if has_aux else trace.value(), gradient

    return value_and_gradient


def grad(f, argnums=0, has_aux=False):
    """A function that returns the gradient of f with respect to the arguments `argnums`, an int or a tuple.

    f takes Tensors or arrays, of which those in `argnums` must be floating, and returns a scalar Tensor; with `has_aux`
    a pair of it and anything else, which is handed on: `(gradient, aux)`. The gradient can be differentiated again.

    The function raises TypeError for integer arguments and for an output that is no scalar.
    """
    both = value_and_grad(f, argnums, has_aux)

    @wraps(f, updated=())
    def gradient(*args, **kwargs):
        value, g = both(*args, **kwargs)
        return (g, value[1]) if has_aux else g

    return gradient


def vjp(f, *primals):
    """`(f(*primals), vjp_fn)`: `vjp_fn(cotangent)` is the tuple of gradients of <f, cotangent>, one for each primal."""
    trace = Trace(f, None, primals)

    def vjp_fn(cotangent):
        return trace.pull(like(cotangent, trace.y, "the cotangent"))

    return trace.value(), vjp_fn


def jvp(f, primals, tangents):
    """`(f(*primals), derivative of f along tangents)`, in forward mode; two tuples of the same shapes."""
    if not all(isinstance(each, (tuple, list)) for each in (primals, tangents)) or len(primals) != len(tangents):
        raise TypeError("jvp needs primals and tangents as two tuples of the same length; write (x,) for one")
    trace = Trace(f, None, primals)
    tangents = [like(t, x, f"tangent {n}") for n, (t, x) in enumerate(zip(tangents, trace.variables, strict=True))]
    return trace.value(), trace.push(tangents)


def hvp(f, x, v):
    """The Hessian of the scalar function f at x times v, without the Hessian; for a tuple x, f(*x) and a tuple v."""
    if not isinstance(x, tuple):
        return jvp(grad(f), (x,), (v,))[1]
    gradient = grad(f, tuple(range(len(x))))
    products = jvp(lambda *xs: flat(gradient(*xs)), x, v)[1]
    shapes = [np.shape(plain(part)) for part in x]
    ends = np.cumsum([math.prod(shape) for shape in shapes]).tolist()
    return tuple(
        products[start:end].reshape(shape) for start, end, shape in zip([0, *ends], ends, shapes, strict=False)
    )


def flat(tensors):
    """All elements of some Tensors, one after the other, in one of them."""
    return concat([tensor.reshape(-1) for tensor in tensors])


def jacobian(f, argnums=0):
    """A function that returns the Jacobian of f, of shape output + argument shape; a tuple if `argnums` is one."""
    argnums = checked_argnums(f, argnums)

    @wraps(f, updated=())
    def jacobian_of_f(*args, **kwargs):
        trace = Trace(f, argnums, args, kwargs)
        y = trace.y
        if y.dtype.kind != "f":
            raise TypeError(f"jacobian needs a function with a floating output, this one returned dtype {y.dtype}")
        rows = []
        for i in range(y.size):
            one = np.zeros(y.shape, y.dtype)
            one.flat[i] = 1
            rows.append(trace.pull(one))
        blocks = zip(*rows, strict=True) if rows else [[np.zeros(x.shape, x.dtype)] for x in trace.variables]
        shapes = [y.shape + x.shape for x in trace.variables]
        return trace.pack([stack(block)[: y.size].reshape(shape) for block, shape in zip(blocks, shapes, strict=True)])

    return jacobian_of_f


def hessian(f, argnums=0):
    """A function that returns the Hessian of the scalar function f; for tuple `argnums` a tuple of tuples of blocks."""
    argnums = checked_argnums(f, argnums)
    if isinstance(argnums, int):
        return jacobian(grad(f, argnums), argnums)

    @wraps(f, updated=())
    def blocks(*args, **kwargs):
        return tuple(jacobian(grad(f, row), argnums)(*args, **kwargs) for row in argnums)

    return blocks


# --- check -----------------------------------------------------------------------------------------------------------


def check_grads(f, args, order=2, modes=("rev", "fwd"), rtol=1e-5, atol=1e-6, seed=0):
    """Compare the derivatives of f at `args` with finite differences along random directions, in float64.

    f takes as many Tensors as the tuple args holds, and returns a Tensor. Derivatives up to `order` are checked: those
    of the reverse and of the forward mode, as `modes` says, then their own derivatives by the same functions.

    Raises AssertionError saying which derivative is wrong; TypeError if args is no tuple, ValueError for unknown modes.
    """
    if not isinstance(args, (tuple, list)):
        raise TypeError(
            f"args must be the tuple of f's arguments, not {type(args).__name__}; write (x,) for a single one"
        )
    if not modes or not {"rev", "fwd"}.issuperset(modes):
        raise ValueError(f"modes {modes!r} must be among 'rev' and 'fwd'")
    points = [np.array(plain(x), dtype=np.float64) for x in args]
    rng = np.random.default_rng(seed)
    directions = [rng.standard_normal(x.shape) for x in points]
    length = math.sqrt(math.fsum((d**2).sum() for d in directions)) or 1.0
    check_along(f, points, [d / length for d in directions], order, modes, (rtol, atol), rng, "f")


def check_along(f, points, directions, order, modes, tolerances, rng, name):
    """The work of `check_grads`, along given directions; `name` says which derivative f is."""
    # The cube root of float64's epsilon balances the error of the formula and that of rounding
    step = 6e-6 * max([1.0, *(np.abs(x).max(initial=0) for x in points)])
    ahead, behind = (
        np.asarray(f(*[Tensor(x + h * d, dtype=np.float64) for x, d in zip(points, directions, strict=True)]))
        for h in (step, -step)
    )
    slope = (ahead - behind) / (2 * step)
    weights = rng.standard_normal(slope.shape)

    def forward(*xs):
        return jvp(f, xs, directions)[1]

    def reverse(*xs):
        return flat(vjp(f, *xs)[1](weights))

    def compare(mode, found, expected):
        rtol, atol = tolerances
        if not np.allclose(found, expected, rtol, atol):
            raise AssertionError(
                f"the {mode} of {name}, for arguments of shape {[x.shape for x in points]}, gives {found}, but finite "
                f"differences give {expected}: apart by {np.abs(found - expected).max():.3g} (rtol={rtol}, atol={atol})"
            )

    if "fwd" in modes:
        compare("jvp", forward(*points).numpy(), slope)
        if order > 1:
            check_along(forward, points, directions, order - 1, modes, tolerances, rng, f"the jvp of {name}")
    if "rev" in modes:
        along = np.concatenate([d.ravel() for d in directions])
        compare("vjp", np.sum(reverse(*points).numpy() * along), np.sum(weights * slope))
        if order > 1:
            check_along(reverse, points, directions, order - 1, modes, tolerances, rng, f"the vjp of {name}")
