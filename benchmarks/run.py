"""Time nngrad beside other libraries, in turns, and print the ratios to PyTorch's time.

    python benchmarks/run.py                      every workload, every library that is installed
    python benchmarks/run.py mlp rows.softmax     some workloads, or single cases of them
    python benchmarks/run.py memory import        the peak of memory of a step; the time of an import
    python benchmarks/run.py --write              all of it, and the figures, the table and the chart in this folder
    python benchmarks/run.py --help

All libraries must compute the same numbers before any of them is timed.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

try:
    from tqdm import tqdm
except ModuleNotFoundError as error:
    raise SystemExit(f"{error}; pip install -e '.[benchmarks]' has all that the benchmarks use") from error

import imports
import memory
from measure import LIBRARIES, Row, available, steps_of, timings
from workloads import IMPORT, IMPORT_BAR, IMPORT_IN_USE, MEMORY, WORKLOADS


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", help="names of workloads, or workload.case; all if there are none")
    parser.add_argument("--libraries", nargs="+", choices=LIBRARIES, default=LIBRARIES)
    parser.add_argument("--rounds", type=int, default=3, help="the least number of turns each library takes")
    parser.add_argument("--seconds", type=float, default=0.0, help="the least time for a case")
    parser.add_argument("--write", action="store_true", help="write results.json, README.md's table and speed.png")
    options = parser.parse_args()
    known = [*(workload.name for workload in WORKLOADS), "memory", "import"]
    for name in options.workloads:
        if name.partition(".")[0] not in known:
            parser.error(f"there is no workload {name}; there are {', '.join(known)}")
    if not memory.AVAILABLE:
        print("memory: left out, it is measured on Linux only", file=sys.stderr)
    if options.write and (options.workloads or options.libraries != LIBRARIES):
        parser.error("--write wants every workload and every library")
    return options


def wanted_cases(workload, names):
    """Those of a workload's cases that were asked for."""
    wanted = [name.partition(".")[2] for name in names if name.partition(".")[0] == workload.name]
    return [case for case in workload.cases if not names or case in wanted or "" in wanted]


def is_wanted(name, options):
    """Whether what is no workload of its own was asked for, by name or among all."""
    return (not options.workloads or name in options.workloads) and (name != "memory" or memory.AVAILABLE)


def measured(options, progress):
    """Rows, one after the other, as they are measured."""
    modules = available(options.libraries)
    for workload in WORKLOADS:
        row = Row(workload.name, workload.title, "ms", "PyTorch", workload.bar)
        for case in wanted_cases(workload, options.workloads):
            progress.set_description(f"{workload.name} {case}")
            row.cases[case] = timings(
                steps_of(workload, case, modules), workload.steps, options.rounds, options.seconds
            )
            progress.update()
        if row.cases:
            yield row
    names = [module.__name__.rpartition(".")[2].removesuffix("_library") for module in modules]
    for title, workload, bar in MEMORY if is_wanted("memory", options) else ():
        progress.set_description(f"memory {workload}")
        peaks = {m.NAME: memory.peaks(name, workload) for m, name in zip(modules, names, strict=True)}
        yield Row("memory", title, "MiB", "PyTorch", bar, {workload: {n: p for n, p in peaks.items() if p}})
        progress.update()
    if is_wanted("import", options):
        progress.set_description("import")
        times = imports.times(3 + 2 * options.rounds)
        in_use = {"NumPy": times["NumPy"], "nngrad": times.pop("nngrad in use")}
        yield Row("import", IMPORT, "ms", "NumPy", IMPORT_BAR, {"import": times})
        yield Row("import_in_use", IMPORT_IN_USE, "ms", "NumPy", IMPORT_BAR, {"import": in_use})
        progress.update()


def main():
    options = arguments()
    count = sum(len(wanted_cases(workload, options.workloads)) for workload in WORKLOADS)
    count += len(MEMORY) * is_wanted("memory", options) + is_wanted("import", options)
    rows = []
    with tqdm(total=count, leave=False, file=sys.stderr, disable=None) as progress:
        for row in measured(options, progress):
            rows.append(row)
            progress.write("\n".join(row.lines()), file=sys.stdout)
            sys.stdout.flush()
    if options.write:
        import report
        import scaling

        report.write(rows, scaling.per_node(), scaling.per_element())


if __name__ == "__main__":
    main()
