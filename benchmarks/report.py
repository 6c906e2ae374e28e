"""What `run.py --write` leaves behind: results.json, the table in README.md beside it, and the chart speed.png.

`python benchmarks/report.py` makes table and chart again from results.json.
"""

import importlib.metadata
import json
import os
import platform
import statistics
from datetime import date
from pathlib import Path

import scaling

FOLDER = Path(__file__).resolve().parent
RESULTS, README, CHART = FOLDER / "results.json", FOLDER / "README.md", FOLDER / "speed.png"
BEGIN, END = "<!-- written by run.py --write -->\n", "<!-- end of what run.py writes -->\n"
LIBRARIES = ["nngrad", "floor", "PyTorch", "JAX jit", "autograd", "MyGrad"]
PACKAGES = ["numpy", "torch", "jax", "autograd", "mygrad"]

# Colours of Okabe & Ito (2008), which the colour-blind tell apart, and shapes for who sees none.
MARKS = {
    "nngrad": ("o", "#0072B2", 130),  # the first, so that it lies beneath the small ones
    "floor": ("v", "#009E73", 45),
    "JAX jit": ("s", "#CC79A7", 32),
    "autograd": ("D", "#E69F00", 32),
    "MyGrad": ("^", "#56B4E9", 40),
}


def machine():
    """What the figures depend on: processor, cores, Python, versions of libraries."""
    processor = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        processor = names[0].partition(":")[2].strip() if names else processor
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"processor": processor, "cores": cores, "python": platform.python_version(), "versions": versions}


def results(rows, nodes, elements):
    """All that was measured, as JSON has it: of each case the least and the median, not every round."""
    found = []
    for row in rows:
        cases = {
            case: {name: {"min": min(m), "median": statistics.median(m)} for name, m in libraries.items()}
            for case, libraries in row.cases.items()
        }
        one = {name: getattr(row, name) for name in ("name", "title", "unit", "reference", "bar")}
        found.append({**one, "ratios": row.ratios(), "cases": cases})
    return {
        "date": date.today().isoformat(),
        "machine": machine(),
        "rows": found,
        "scaling": {"us_per_node": nodes, "ns_per_element": elements},
    }


def write(rows, nodes, elements):
    """Write the JSON, and from it table and chart."""
    RESULTS.write_text(json.dumps(rounded(results(rows, nodes, elements)), indent=1) + "\n", encoding="utf-8")
    redraw()


def rounded(value):
    """The same with four digits to a float."""
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def redraw():
    """Table and chart from results.json."""
    found = json.loads(RESULTS.read_text(encoding="utf-8"))
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise SystemExit(f"{README} has no place for the table: it wants the lines\n{BEGIN}{END}")
    README.write_text(before + BEGIN + table(found) + END + after, encoding="utf-8")
    draw(found)


def table(found):
    """The Markdown that README.md shows."""
    host = found["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in host["versions"].items())
    lines = [
        f"{found['date']}: {host['cores']} cores of an {host['processor']}, Python {host['python']}, {versions}.",
        "Times and memory are divided by PyTorch's, of imports by NumPy's; less is better.",
        "",
        f"| workload | to reach | {' | '.join(f'**{n}**' if n == 'nngrad' else n for n in LIBRARIES)} |",
        f"| --- | --: | {' | '.join(['--:'] * len(LIBRARIES))} |",
    ]
    for row in found["rows"]:
        cells = []
        for name in LIBRARIES:
            ratio = row["ratios"].get(name)
            text = "" if ratio is None else f"{ratio:.2f}"
            cells.append(f"**{text}**" if name == "nngrad" and text else text)
        lines.append(f"| {row['title']} | {row['bar']} | {' | '.join(cells)} |")
    lines += [
        "",
        "Single functions, in ms:",
        "",
        f"| | {' | '.join(LIBRARIES)} |",
        f"| --- | {' | '.join(['--:'] * len(LIBRARIES))} |",
    ]
    for row in found["rows"]:
        for case, libraries in row["cases"].items() if len(row["cases"]) > 1 and row["unit"] == "ms" else ():
            cells = [f"{libraries[n]['min']:.2f}" if n in libraries else "" for n in LIBRARIES]
            lines.append(f"| {case} | {' | '.join(cells)} |")
    sizes = ({int(n): t for n, t in found["scaling"][name].items()} for name in ("us_per_node", "ns_per_element"))
    return "\n".join([*lines, "", scaling.table(*sizes), ""])


def draw(found):
    """The chart: a line a workload, a mark a library, at its time divided by PyTorch's."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = [row for row in found["rows"] if row["reference"] == "PyTorch"]
    fig, ax = plt.subplots(figsize=(9, 0.46 * len(rows) + 1.5), layout="constrained")
    for i, row in enumerate(rows):
        ax.plot([row["bar"]] * 2, [i - 0.36, i + 0.36], color="#D55E00", lw=2.5, label="to reach" if i == 0 else None)
        for name, (marker, colour, size) in MARKS.items():
            if name in row["ratios"]:
                label = name if not any(name in r["ratios"] for r in rows[:i]) else None
                ax.scatter(
                    row["ratios"][name], i, size, colour, marker=marker, label=label, zorder=3, ec="white", lw=0.6
                )
    ax.axvline(1, color="black", lw=1, zorder=1)
    ax.annotate("PyTorch", (1, 1), xycoords=ax.get_xaxis_transform(), ha="center", va="bottom", fontsize=10)
    ax.set_xscale("log")
    ticks = [t for t in (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if ax.get_xlim()[0] < t < ax.get_xlim()[1]]
    ax.set_xticks(ticks, [f"{t:g}" for t in ticks])
    ax.minorticks_off()
    ax.set_yticks(range(len(rows)), [row["title"] for row in rows], fontsize=10)
    ax.set_ylim(len(rows) - 0.4, -0.8)
    ax.grid(axis="both", color="#DDDDDD", lw=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(length=0)
    ax.set_xlabel("time (memory in the last two lines) / PyTorch's; left is better")
    fig.legend(loc="outside upper center", ncols=6, frameon=False, fontsize=10)
    fig.savefig(CHART, dpi=150, metadata={"Software": None})


if __name__ == "__main__":
    redraw()
