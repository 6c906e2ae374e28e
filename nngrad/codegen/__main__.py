"""The command line: `python -m nngrad.codegen`."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command; returns its exit code: 0 done, 1 drift found by --check, 2 an error."""
    try:
        from nngrad.codegen.command import run
    except ModuleNotFoundError as error:
        if error.name in ("sympy", "mpmath", "jinja2", "tqdm", "pygments", "latex2mathml"):
            print(
                f"nngrad.codegen needs {error.name}, which is not installed: "
                'pip install "nngrad[codegen]", or pip install -e ".[codegen]" in a checkout',
                file=sys.stderr,
            )
            return 2
        raise
    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
