"""What products share becomes a part of its own: the forms stay equal."""

import pytest

sympy = pytest.importorskip("sympy")

from nngrad.codegen.algebra import words  # noqa: E402
from nngrad.codegen.algebra.symbols import Value, Where  # noqa: E402
from nngrad.codegen.algebra.turn_words import half_tangent  # noqa: E402
from nngrad.codegen.lowering.exponents import in_float64  # noqa: E402
from nngrad.codegen.rewriting import identities  # noqa: E402
from nngrad.codegen.rules import parts, wide  # noqa: E402

a, b, d, x, y, output = map(Value, [*"abdxy", "output"])
ROOT, LOG2 = sympy.sqrt(a + 1), sympy.log(2)


@pytest.mark.parametrize(
    ("forms", "expected"),
    [
        ([4 * a * b * x / d**2, 4 * a * b * y / d**2], {4 * a * b / d**2}),
        ([4 * a * b * x, 8 * a * b * d], {a * b}),
        ([a / d, a / d**2], {a / d}),
        ([a * x + sympy.exp(a * b * d), a * b], {a * b}),
        ([x / ROOT, x * d / ROOT, a + d], {x / ROOT}),
        ([a * b * d * x, a * b * d, a * b], {a * b * d}),
        ([a * x, a * d], set()),
        ([a**2 * x, a / d], set()),
        ([a + b, x], set()),
    ],
)
def test_what_products_share_is_a_part(forms, expected):
    found, made = parts.with_shared_products({}, forms, output)
    assert {expr.xreplace(found) for expr in found.values()} == expected
    for part, expr in reversed(found.items()):
        made = [form.xreplace({part: expr}) for form in made]
    assert made == forms


def test_the_output_is_no_part_of_what_is_shared():
    """It is known after the parts are."""
    found, _ = parts.with_shared_products({}, [output * a * x, output * a * d], output)
    assert not any(expr.has(output) for expr in found.values())


def test_names_in_use_are_left_alone():
    p = Value("p")
    found, made = parts.with_shared_products({a: p + 1}, [a * b * x, a * b * d], output)
    assert [part.name for part in found] == ["a", "p2"]
    assert made == [x * Value("p2"), d * Value("p2")]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({a: sympy.exp(3 * x), d: a + 1}, {a: words.exp2(3 * x / LOG2), d: a + 1}),
        ({a: sympy.exp(x * LOG2 - y * LOG2)}, {a: words.exp2(x - y)}),
        ({b: -(x**2), a: sympy.exp(b)}, {b: -(x**2) / LOG2, a: words.exp2(b)}),
        ({b: -(x**2), a: sympy.exp(b), d: b + 1}, {b: -(x**2), a: words.exp2(b / LOG2), d: b + 1}),
        ({d: x + 1}, {d: x + 1}),
    ],
)
def test_exponentials_as_powers_of_two(given, expected):
    made = parts.with_powers_of_two(given, [a * x])
    assert made == expected
    before, after = ([numbers_of(one)[part] for part in one if part != b] for one in (given, made))
    assert before == pytest.approx(after, rel=1e-14)


def numbers_of(made):
    """What parts are for some inputs."""
    known = {x: 0.7, y: -0.4}
    for part, expr in made.items():
        known[part] = float(expr.replace(words.exp2.build, lambda u: 2**u).subs(known))
    return known


e = Value("e", positive=True)


@pytest.mark.parametrize(
    ("product", "bottom", "expected"),
    [
        (4 * x * e * (e + 1) / d**2, e**2 + 2 * e + 2, 2 * x * e * (1 - e**2 / d) / d),
        (a * (e + 3) / d, e**2 + e + 3, a * (1 - e**2 / d)),
        ((e + 1) / d, 2 * e + 3, (e + 1) / d),  # no multiple has its terms
        ((e + 1) / d, e + 1, (e + 1) / d),  # it lacks nothing
        (x * e / d, e + 1, x * e / d),  # no sum
        (x * (e + 1), e**2 + e + 1, x * (e + 1)),  # nothing is divided
    ],
)
def test_sums_over_denominators_by_what_they_lack(product, bottom, expected):
    made = parts._complemented(product, {d: bottom})
    assert made == expected
    assert sympy.simplify((made - product).xreplace({d: bottom})) == 0


def test_roots_of_squares_and_a_number_are_what_they_are_written_as():
    hypot, over_hypot, third = words.hypot, words.over_hypot, sympy.Rational(1, 3)
    for given, expected in (
        (hypot(x, third), sympy.sqrt(x**2 + third**2)),
        (hypot(hypot(2, x), y), sympy.sqrt(x**2 + y**2 + 4)),
        (over_hypot(hypot(2, x), y) * over_hypot(x, 2), x / sympy.sqrt(x**2 + y**2 + 4)),
        (hypot(x, y) + over_hypot(x, y), hypot(x, y) + over_hypot(x, y)),  # squares of small numbers are too small
    ):
        assert identities.with_roots(given) == expected


def test_sines_cosines_and_exponentials_in_float64():
    t = half_tangent(3 * x)
    assert wide.computed(sympy.sin(3 * x)) == in_float64(2 * t / (1 + t**2))
    assert wide.computed(sympy.cos(3 * x)) == in_float64((1 - t**2) / (1 + t**2))
    power = words.exp2(-x / sympy.log(2))
    assert wide.computed(words.sigmoid(x)) == in_float64(1 / (1 + power))
    assert wide.computed(words.sigmoid(-x)) == in_float64(power / (1 + power))
    assert wide.computed(sympy.exp(-sympy.exp(-x))) == in_float64(words.exp2(-power / sympy.log(2)))


def test_a_branch_of_a_choice_may_do_everywhere():
    near, far = words.expm1(3 * words.log1p(x**2)), (1 + x**2) ** 3 - 1
    choice = 2 * Where(words.abs(x) < 1, near, far)
    assert [*wide.without_choices(choice)] == [choice, 2 * near, 2 * far]
    assert [*wide.without_choices(near)] == [near]
