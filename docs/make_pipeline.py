"""Draws docs/pipeline.svg: what happens to a formula, with softmax as the example.

    python docs/make_pipeline.py [FILE]

Draw it anew when the generated softmax changes, whose code it shows. Plain SVG, without fonts or scripts of its own;
its colours follow the reader's light or dark setting.
"""

import sys
from html import escape
from pathlib import Path

WIDTH, MARGIN = 960, 24
SPINE, TEXT, CODE = 56, 88, 364  # x of the line that joins the stages, of what they are called, of their results
GENERATED = Path(__file__).resolve().parents[1] / "generated" / "nngrad_ops" / "activations.py"


def body(name):
    """The lines of a generated function."""
    _, _, source = GENERATED.read_text(encoding="utf-8").partition(f"\ndef {name}(")
    return [line.strip() for line in source.partition("\n\n\n")[0].splitlines()[2:]]


STAGES = [  # (name, what it does, softmax after it)
    ("spec", "you write the formula, once", ["e = exp(x)", "return e / sum(e, axis)"]),
    ("trace", "names every stage of it", ["e = exp(x), s = sum(e), y = e / s"]),
    ("rewrite", "makes it stable, still equal", ["e = exp(x - max(x))"]),
    ("derive", "SymPy and the chain rule", ["dx = e * (g / s - sum(g * e) / s**2)"]),
    ("forms", "finds equal forms, picks the cheapest", ["dx = y * (g - sum(g * y))"]),
    ("lower", "three-address NumPy, buffers reused", body("softmax_vjp")),
    ("emit", "Jinja templates write the package", ["softmax(x), softmax_vjp(g, y), softmax_jvp(dx, y)"]),
]
HOUSE = [  # (share of the width, name, what is in it)
    (2, "nngrad_ops", "generated; NumPy alone"),
    (2, "nngrad.Tensor", "the graph and backward"),
    (3, "nn · optim · grad · hvp · jacobian", "layers, training, derivatives of derivatives"),
]
LIGHT = {
    "card": "fill:#ffffff;stroke:#d1d9e0", "code": "fill:#f6f8fa;stroke:#d1d9e0", "made": "fill:#eef6ff;stroke:#54aeff",
    "name": "fill:#1f2328", "note": "fill:#59636e", "mono": "fill:#1f2328", "line": "stroke:#afb8c1",
    "dot": "fill:#ffffff;stroke:#0969da", "number": "fill:#0969da", "tip": "fill:#afb8c1",
}  # fmt: skip
DARK = {
    "card": "fill:#151b23;stroke:#3d444d", "code": "fill:#0d1117;stroke:#3d444d", "made": "fill:#121d2f;stroke:#1f6feb",
    "name": "fill:#f0f6fc", "note": "fill:#9198a1", "mono": "fill:#d1d7e0", "line": "stroke:#656c76",
    "dot": "fill:#0d1117;stroke:#4493f8", "number": "fill:#4493f8", "tip": "fill:#656c76",
}  # fmt: skip
SHAPES = """
text{font-family:system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif;font-size:14px}
.name{font-size:16px;font-weight:600}.number{font-size:13px;font-weight:600;text-anchor:middle}
.mono{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:13px}
.dot{stroke-width:2}.line{stroke-width:2;fill:none}.middle{text-anchor:middle}"""


def style(colours):
    return "".join(f".{name}{{{value}}}" for name, value in colours.items())


def text(x, y, words, *classes):
    return f'<text x="{x}" y="{y}" class="{" ".join(classes)}">{escape(words)}</text>'


def box(x, y, width, height, kind, radius=8):
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="{radius}" class="{kind}"/>'


def arrow(points):
    """A line through the points, with a tip at the last one."""
    (x0, _), (x, y) = points[-2:]
    tip = [(x, y), (x - 5, y - 8), (x + 5, y - 8)] if x == x0 else [(x, y), (x - 8, y - 5), (x - 8, y + 5)]
    end = (x, y - 6) if x == x0 else (x - 6, y)
    path = " L".join(f"{px} {py}" for px, py in [*points[:-1], end])
    return f'<path d="M{path}" class="line"/><path d="M{" L".join(f"{px} {py}" for px, py in tip)} Z" class="tip"/>'


def stages(top):
    """The stages, one below the other, and where they end."""
    heights = [24 + 19 * len(code) for *_, code in STAGES]
    tops = [top + sum(heights[:row]) + 16 * row for row in range(len(STAGES))]
    centres = [y + height / 2 for y, height in zip(tops, heights, strict=True)]
    drawn = [f'<path d="M{SPINE} {centres[0]} L{SPINE} {centres[-1]}" class="line"/>']
    for row, (name, note, code) in enumerate(STAGES):
        kind = "made" if row in (0, len(STAGES) - 1) else "code"
        drawn += [
            f'<circle cx="{SPINE}" cy="{centres[row]}" r="14" class="dot"/>',
            text(SPINE, centres[row] + 4.5, str(row + 1), "number"),
            text(TEXT, centres[row] - 3, name, "name"),
            text(TEXT, centres[row] + 16, note, "note"),
            box(CODE, tops[row], WIDTH - MARGIN - 16 - CODE, heights[row], kind),
            *(text(CODE + 16, tops[row] + 26 + 19 * place, line, "mono") for place, line in enumerate(code)),
        ]
    return drawn, tops[-1] + heights[-1]


def house(top):
    """What is built on the generated package, from left to right; where it ends, and the middle of its first block."""
    gap, height = 32, 62
    unit = (WIDTH - 2 * MARGIN - gap * (len(HOUSE) - 1)) / sum(share for share, *_ in HOUSE)
    x, drawn = MARGIN, []
    for place, (share, name, note) in enumerate(HOUSE):
        if place:
            drawn.append(arrow([(x, top + height / 2), (x + gap, top + height / 2)]))
            x += gap
        width = round(share * unit)
        drawn += [
            box(x, top, width, height, "card" if place else "made"),
            text(x + width / 2, top + 26, name, "name", "middle"),
            text(x + width / 2, top + 47, note, "note", "middle"),
        ]
        x += width
    return drawn, top + height, MARGIN + round(HOUSE[0][0] * unit) / 2


def picture(dark=None):
    """The SVG. By itself it follows the reader's setting; `dark` fixes it."""
    rows, end = stages(MARGIN + 16)
    card = box(MARGIN, MARGIN, WIDTH - 2 * MARGIN, end + 16 - MARGIN, "card", 12)
    blocks, bottom, first = house(end + 16 + 40)
    link = arrow([(first, end + 16), (first, end + 16 + 40)])
    colours = style(LIGHT) + f"@media(prefers-color-scheme:dark){{{style(DARK)}}}"
    if dark is not None:
        colours = style(DARK if dark else LIGHT)
    height = bottom + MARGIN
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img" aria-labelledby="t">'
    title = '<title id="t">From a formula to a package: spec, trace, rewrite, derive, forms, lower, emit</title>'
    return "\n".join([head, title, f"<style>{SHAPES}\n{colours}</style>", card, *rows, link, *blocks, "</svg>", ""])


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("pipeline.svg")
    target.write_text(picture(), encoding="utf-8", newline="\n")
    print(target)
