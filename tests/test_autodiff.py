"""Derivatives of functions, of any order, in both modes."""

import math

import numpy as np
import pytest

import nngrad
from nngrad import Tensor, check_grads, grad, gradients, hessian, hvp, jacobian, jvp, no_grad, value_and_grad, vjp

pytestmark = pytest.mark.filterwarnings("error")
F64 = np.float64


def points(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.uniform(0.5, 1.5, shape) for shape in shapes]


def polynomial(x):
    return x**4 + 2 * x**3


# --- grad ------------------------------------------------------------------------------------------------------------


def test_grad_nests():
    f, expected = polynomial, [5.0, 4 * 8 + 6 * 4, 12 * 4 + 12 * 2, 24 * 2 + 12, 24.0]
    x = F64(2)
    for value in expected[1:]:
        f = grad(f)
        np.testing.assert_allclose(f(x).item(), value)


def test_no_perturbation_confusion():
    assert grad(lambda x: x * grad(lambda y: x * y)(1.0))(3.0).item() == 6
    assert grad(lambda x: x * grad(lambda y: x + y)(1.0))(3.0).item() == 1
    assert jvp(lambda x: x * jvp(lambda y: x + y, (1.0,), (1.0,))[1], (3.0,), (1.0,))[1].item() == 1
    assert jvp(lambda x: x * jvp(lambda y: x * y, (2.0,), (1.0,))[1], (3.0,), (1.0,))[1].item() == 6
    assert grad(lambda x: grad(lambda y: x * y * y)(x))(3.0).item() == 12
    assert jvp(lambda x: grad(lambda y: x * y * y)(x), (3.0,), (1.0,))[1].item() == 12
    assert grad(lambda x: jvp(lambda y: x * y * y, (x,), (x,))[1])(3.0).item() == 54


@pytest.mark.parametrize(
    ("argnums", "count"), [(0, None), (1, None), (-1, None), ((0, 1), 2), ((1,), 1), ([0, 1], 2), (np.int64(1), None)]
)
def test_argnums(argnums, count):
    f = lambda x, y: (x * x * y).sum()  # noqa: E731
    x, y = points((2,), (2,))
    expected = {0: 2 * x * y, 1: x * x, -1: x * x}
    result = grad(f, argnums)(x, y)
    if count is None:
        np.testing.assert_allclose(result.data, expected[argnums])
        assert result.dtype == F64 and not result.requires_grad
    else:
        assert isinstance(result, tuple) and len(result) == count
        for n, g in zip(argnums, result, strict=True):
            np.testing.assert_allclose(g.data, expected[n])


def test_arguments_pass_through_untouched():
    seen = []

    def f(x, other, *, scale):
        seen.append(other)
        return (x * scale).sum()

    marker = object()
    assert grad(f)([1.0, 2.0], marker, scale=3).tolist() == [3, 3] and seen == [marker]


def test_dtypes_of_arguments():
    square = lambda x: (x * x).sum()  # noqa: E731
    assert grad(square)(2).dtype == grad(square)([1.0]).dtype == np.float32
    assert grad(square)(np.ones(2)).dtype == grad(square)(Tensor([1.0], F64)).dtype == F64
    assert grad(square)(np.ones(2, np.float16)).dtype == np.float16


@pytest.mark.parametrize("x", [np.arange(3), Tensor([1], np.int64), np.array([True])])
def test_integers_have_no_derivative(x):
    with pytest.raises(TypeError, match=f"argument 0.*{x.dtype}"):
        grad(lambda x: (x * 1.0).sum())(x)


@pytest.mark.parametrize(
    ("f", "message"),
    [(lambda x: x, r"\(2,\)"), (lambda x: (x > 1).sum(), "int64"), (lambda x: x.sum(axis=0, keepdims=True), r"\(1,\)"),
     (lambda x: "a", "output of f"), (lambda x: None, "output of f")],
)  # fmt: skip
def test_grad_needs_a_scalar(f, message):
    with pytest.raises(TypeError, match=message):
        grad(f)(np.ones(2))
    assert Tensor.grad_is_enabled


def test_argnums_out_of_range():
    with pytest.raises(ValueError, match=r"argument 2.*1 positional"):
        grad(lambda x: x, 2)(1.0)


def test_constant_functions():
    assert grad(lambda x: 3.0)([1.0, 2.0]).tolist() == [0, 0]
    assert grad(lambda x, y: y.sum(), (0, 1))([1.0], [2.0])[0].tolist() == [0]
    assert grad(lambda x: x)(2.0).item() == 1
    w = Tensor(3.0, requires_grad=True)
    assert grad(lambda x: w.item())(2.0).item() == 0
    assert grad(lambda x: x * x.item())(2.0).item() == 2
    assert grad(lambda x: x * grad(lambda y: 1.0)(x.item()))(2.0).item() == 0


@pytest.mark.parametrize(
    "f",
    [
        lambda x: (x * x).sum().item(),
        lambda x: float(x[0]),
        lambda x: sum((2 * x).tolist()),
        lambda x: float(np.sum(x.numpy())),
        lambda x: Tensor(np.asarray(x).sum()),
        lambda x: nngrad.exp(math.sin(x[0])),
        lambda x: grad(lambda y: y * x[0].item())(2.0).item(),
    ],
)
def test_numbers_that_have_left_the_graph_have_no_gradient(f):
    for derivative in (grad(f), lambda x: vjp(f, x), lambda x: jvp(f, (x,), (x,))):
        with pytest.raises(TypeError, match=r"gradient would be zeros: f read .* compute with Tensors"):
            derivative(np.array([1.0, 2.0]))


def test_value_and_grad_with_aux():
    def f(x):
        return (x * x).sum(), {"mean": x.mean()}

    (value, aux), g = value_and_grad(f, has_aux=True)([1.0, 2.0])
    assert value.item() == 5 and aux["mean"].item() == 1.5 and g.tolist() == [2, 4] and not value.requires_grad
    g, aux = grad(f, has_aux=True)([1.0, 2.0])
    assert g.tolist() == [2, 4]
    with pytest.raises(TypeError, match="pair"):
        grad(lambda x: x.sum(), has_aux=True)([1.0])


def test_grads_and_switch_are_left_alone():
    w = Tensor([1.0, 2.0], requires_grad=True)
    f = lambda x: (x * w * w).sum()  # noqa: E731
    with no_grad():
        g = grad(f)(w)
        second = grad(lambda x: (grad(f)(x) * x).sum())(w)
        assert not Tensor.grad_is_enabled
    assert g.tolist() == [1, 4] and not g.requires_grad and second.tolist() == [1, 4]
    assert w.grad.tolist() == [0, 0]
    with pytest.raises(ZeroDivisionError):
        grad(lambda x: 1 / 0)(w)
    with pytest.raises(ZeroDivisionError), no_grad():
        grad(lambda x: 1 / 0)(w)
    assert Tensor.grad_is_enabled


def test_gradient_penalty_reaches_closed_over_parameters():
    torch = pytest.importorskip("torch")
    x, w = points((3,), (3,))
    ours = Tensor(w, F64, requires_grad=True)
    g = grad(lambda x: ((x * ours).tanh() ** 2).sum())(x)
    assert g.requires_grad
    (g * g).sum().backward()
    a, b = torch.tensor(x, requires_grad=True), torch.tensor(w, requires_grad=True)
    (h,) = torch.autograd.grad(((a * b).tanh() ** 2).sum(), a, create_graph=True)
    (h * h).sum().backward()
    np.testing.assert_allclose(ours.grad, b.grad.numpy())


def test_a_tensor_argument_that_requires_grad_stays_connected():
    x = Tensor(3.0, requires_grad=True)
    g = grad(lambda x: x**3)(x)
    g.backward()
    assert g.item() == 27 and x.grad == 18


def test_item_assignment_inside_f():
    def f(x):
        x = x * 1
        x[0] = x[1] * x[2]
        return (x * x).sum()

    def in_argument(x):
        x[0] = x[1] * x[2]
        return (x * x).sum()

    x = points((3,))[0]
    kept = x.copy()
    expected = [0, 2 * x[1] + 2 * x[1] * x[2] ** 2, 2 * x[2] + 2 * x[2] * x[1] ** 2]
    np.testing.assert_allclose(grad(f)(x).data, expected)
    np.testing.assert_allclose(grad(in_argument)(x).data, expected)
    np.testing.assert_array_equal(x, kept)
    check_grads(f, (x,))


def test_several_outputs_inside_f():
    def f(x):
        a, b, c = nngrad.split(x, 3)
        return a * b + c.sin() * a

    check_grads(f, points((6,)), order=2)


# --- the others, against PyTorch or by hand --------------------------------------------------------------------------

SCALAR = {
    "elementwise": lambda x: ((x * x).exp() / (1 + x)).sum(),
    "matmul": lambda x: ((x.reshape(2, 2) @ x.reshape(2, 2)) ** 2).sum(),
    "rows": lambda x: (x[:2] * x[2:].tanh()).sum() ** 2,
}


@pytest.mark.parametrize("name", SCALAR)
def test_second_order_equals_pytorch(name):
    torch = pytest.importorskip("torch")
    f, (x, v) = SCALAR[name], points((4,), (4,))
    expected = torch.autograd.functional.hessian(f, torch.tensor(x)).numpy()
    np.testing.assert_allclose(hessian(f)(x).data, expected, rtol=1e-10)
    np.testing.assert_allclose(hvp(f, x, v).data, expected @ v, rtol=1e-10)
    np.testing.assert_allclose(grad(lambda x: (grad(f)(x) * v).sum())(x).data, expected @ v, rtol=1e-10)


def test_vjp_jvp_and_jacobian_agree():
    def f(x, y):
        return (x @ y).tanh()

    x, y, tx, ty, g = points((2, 3), (3, 2), (2, 3), (3, 2), (2, 2))
    value, dy = jvp(f, (x, y), (tx, ty))
    primal, pull = vjp(f, x, y)
    gx, gy = pull(g)
    np.testing.assert_allclose(value.data, np.tanh(x @ y))
    np.testing.assert_allclose(primal.data, value.data)
    np.testing.assert_allclose((dy.data * g).sum(), (gx.data * tx).sum() + (gy.data * ty).sum())
    jx, jy = jacobian(f, (0, 1))(x, y)
    assert jx.shape == (2, 2, 2, 3) and jy.shape == (2, 2, 3, 2)
    np.testing.assert_allclose(np.tensordot(jx.data, tx, 2) + np.tensordot(jy.data, ty, 2), dy.data)
    np.testing.assert_allclose(pull(Tensor(g, F64))[0].data, gx.data)
    assert not any(t.requires_grad for t in (value, dy, primal, gx, jx))


def test_jvp_along_one_argument_only():
    y, dy = jvp(lambda x: x * 2 + 1, (np.ones(3),), (np.arange(3.0),))
    assert y.tolist() == [3, 3, 3] and dy.tolist() == [0, 2, 4]
    assert jvp(lambda x: Tensor([1.0]), (1.0,), (1.0,))[1].tolist() == [0]
    assert jvp(lambda x, y: y + np.zeros((2, 1)), (1.0, [2.0]), (1.0, [3.0]))[1].tolist() == [[3], [3]]


@pytest.mark.parametrize(
    "f", [nngrad.vecdot, lambda x, y: nngrad.einsum("i,i->", x, y), lambda x, y: x.sum() + y.sum()]
)
def test_derivatives_of_0_d_results_are_arrays(f):
    x, y = np.arange(3.0), np.ones(3)
    for results in (nngrad.jvp(f, (x, y), (y, y)), nngrad.value_and_grad(f, 1)(x, y)):
        assert [type(result.data) for result in results] == [np.ndarray, np.ndarray]


def test_hvp_of_several_arguments():
    x, y, u, v = points((2,), (2, 2), (2,), (2, 2))
    f = lambda x, y: ((y @ x) ** 3).sum()  # noqa: E731
    a, b = hvp(f, (x, y), (u, v))
    (hxx, hxy), (hyx, hyy) = hessian(f, (0, 1))(x, y)
    np.testing.assert_allclose(a.data, hxx.data @ u + np.tensordot(hxy.data, v, 2))
    np.testing.assert_allclose(b.data, hyx.data @ u + np.tensordot(hyy.data, v, 2))


def test_jacobian_of_nothing():
    assert jacobian(lambda x: x[:0])(np.ones(3)).shape == (0, 3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: jvp(lambda x: x, 1.0, 1.0), TypeError, "tuples"),
        (lambda: jvp(lambda x: x, (1.0,), (1.0, 2.0)), TypeError, "same length"),
        (lambda: jvp(lambda x: x, (np.ones(2),), (np.ones(3),)), ValueError, r"tangent 0 has shape \(3,\).*\(2,\)"),
        (lambda: vjp(lambda x: x, np.ones(2))[1](np.ones(3)), ValueError, r"cotangent has shape \(3,\).*\(2,\)"),
        (lambda: jacobian(lambda x: x > 1)(1.0), TypeError, "bool"),
        (
            lambda: grad(lambda x: (x * x).numpy().sum())([1.0, 2.0]),
            TypeError,
            "f returned a NumPy float32, which does not know",
        ),
        (
            lambda: jacobian(lambda x: x.numpy() ** 2)([1.0, 2.0]),
            TypeError,
            r"f returned a NumPy ndarray, .* with Tensors",
        ),
        (
            lambda: jacobian(lambda x: (x, 2 * x))(np.ones(2)),
            TypeError,
            "output of f is a tuple of Tensors.*nngrad.stack",
        ),
        (lambda: vjp(lambda x: nngrad.split(x, 2), np.ones(2)), TypeError, "output of f is a tuple of Tensors"),
        (lambda: grad(lambda x: (x.sum(), x))(np.ones(2)), TypeError, "tuple of Tensors.*has_aux=True"),
        (lambda: grad(lambda p: p["w"].sum())({"w": np.ones(2)}), TypeError, r"argument 0 .* dict .*argnums=\(0, 1\)"),
        (lambda: grad(lambda p: p[0].sum())([np.ones(2), 1.0]), ValueError, r"argument 0 .* list .*argnums=\(0, 1\)"),
        (lambda: grad(Tensor(1.0)), TypeError, r"f must be a function, not a Tensor; .*gradients\(y, xs\)"),
        (lambda: jacobian(np.ones(2)), TypeError, "f must be a function, not a ndarray"),
        (lambda: hessian(1.0), TypeError, "f must be a function, not a float"),
        (lambda: vjp(Tensor(1.0), 1.0), TypeError, "f must be a function, not a Tensor"),
        (lambda: grad(lambda x: x, 2.0), TypeError, r"argnums .* not 2.0; .* as in grad\(f\)\(x\)"),
        (lambda: jacobian(lambda x: x, None), TypeError, "argnums .* not None"),
        (lambda: grad(lambda x: x)(x=1.0), ValueError, "argument 0, .* 0 positional arguments; give it by position"),
        (lambda: gradients(1.0, Tensor(1.0)), TypeError, "float"),
        (lambda: gradients(Tensor(1.0, requires_grad=True), [1.0]), TypeError, "float"),
        (lambda: gradients(Tensor(1.0, requires_grad=True), Tensor(1.0)), RuntimeError, "requires_grad=True"),
        (lambda: gradients(Tensor([1.0, 2], requires_grad=True) * 2, ()), RuntimeError, r"\(2,\)"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()


# --- gradients -------------------------------------------------------------------------------------------------------


def test_gradients_of_any_tensor_in_the_graph():
    x, unused = Tensor([1.0, 2.0], requires_grad=True), Tensor([5.0], requires_grad=True)
    h = x * x
    y = (h * 3).sum()
    gx, gh, gy, none = gradients(y, (x, h, y, unused))
    assert gx.tolist() == [6, 12] and gh.tolist() == [3, 3] and gy.item() == 1 and none.tolist() == [0]
    assert gradients(y, x).tolist() == [6, 12]
    assert x.grad.tolist() == [0, 0] and h.grad is None
    assert gradients(h, x, [1.0, 10.0]).tolist() == [2, 40]
    y.backward()
    assert x.grad.tolist() == [6, 12]


def test_gradients_with_a_graph():
    x = Tensor(2.0, F64, requires_grad=True)
    y = x**3 * x.exp()
    g = gradients(y, x, create_graph=True)
    with no_grad():
        second = gradients(g, x, create_graph=True)
    assert second.requires_grad
    e = np.exp(2.0)
    np.testing.assert_allclose(g.item(), (8 + 12) * e)
    np.testing.assert_allclose(second.item(), (8 + 12 + 12 + 12) * e)
    c = Tensor(3.0, F64, requires_grad=True)
    gradients(gradients(y, x, c, create_graph=True), c)
    np.testing.assert_allclose(gradients(gradients(y, x, c, create_graph=True), c).item(), 20 * e)


def test_gradients_share_memory_with_nothing():
    x = Tensor([1.0, 2.0], F64, requires_grad=True)
    w = Tensor([1.0, 2.0], F64, requires_grad=True)
    cotangent = np.ones(2)
    arrays = [g.data for g in gradients(x + w, (x, w, x), cotangent)] + [cotangent]
    kept = Tensor(cotangent, F64)
    arrays += [vjp(lambda x: x, np.ones(2))[1](kept)[0].data, kept.data, x.data, w.data]
    for i, first in enumerate(arrays):
        assert not any(np.shares_memory(first, second) for second in arrays[:i])


def test_gradients_with_a_graph_do_not_hold_the_cotangent():
    x, cotangent = Tensor([1.0, 2.0], F64, requires_grad=True), np.ones(2)
    assert not np.shares_memory(gradients(x + 1, x, cotangent, create_graph=True).data, cotangent)


@pytest.mark.parametrize("create_graph", [False, True])
def test_changed_values_are_caught_at_second_order(create_graph):
    x = Tensor([1.0, 2.0], requires_grad=True)
    h = x * 1
    y = h.exp()
    if create_graph:
        g = gradients(y, x, np.ones(2), create_graph=True)
    y[0] = 5.0
    with pytest.raises(RuntimeError, match="changed in place"):
        gradients(g if create_graph else y, x, np.ones(2))


# --- check_grads -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("modes", [("rev", "fwd"), ("rev",), ("fwd",)])
def test_check_grads_accepts_what_is_right(modes):
    check_grads(lambda x, y: (x * y).exp() / y, points((2, 3), (3,)), order=3 if len(modes) == 1 else 2, modes=modes)


@pytest.mark.parametrize(
    ("f", "modes", "message"),
    [
        (lambda x: x * x.detach(), ("rev",), r"vjp of f, for .*\(2,\)"),
        (lambda x: x * x.detach(), ("fwd",), "jvp of f"),
        (lambda x: x * x + (grad(lambda y: (y * y).sum())(x).detach() - 2 * x) * x.detach(), ("fwd",), "of f"),
    ],
)
def test_check_grads_finds_what_is_wrong(f, modes, message):
    with pytest.raises(AssertionError, match=message):
        check_grads(f, points((2,)), modes=modes)


def test_check_grads_finds_wrong_second_derivatives():
    def f(x):  # its derivative is right, but carries no history
        y = x.detach() ** 2 + 2 * x.detach() * (x - x.detach())
        return y

    with pytest.raises(AssertionError, match=r"of the (jvp|vjp) of f"):
        check_grads(f, points((2,)))
    check_grads(f, points((2,)), order=1)


def test_check_grads_refuses_unknown_modes():
    with pytest.raises(ValueError, match="'rev' and 'fwd'"):
        check_grads(lambda x: x, (1.0,), modes=("both",))
    with pytest.raises(TypeError, match=r"\(x,\)"):
        check_grads(lambda x: x, np.ones(2))
