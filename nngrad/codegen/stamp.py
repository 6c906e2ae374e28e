"""Whether anything changed since the last generation: a digest of all that goes in and all that came out.

The digest lies beside the generated package, `generated/.nngrad_ops.digest`, and is not committed. `--check` and
`--search` never ask it.
"""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path

from nngrad.codegen.emit import templates_folder

TOOLS = ("jinja2", "mpmath", "numpy", "sympy")


class Stamp:
    """The digest of a generation of `out` from the spec at `spec`."""

    def __init__(self, spec: Path, out: Path):
        self.path = out.with_name(f".{out.name}.digest")
        self.folders = (Path(__file__).parent, Path(templates_folder()), spec, out)

    def is_valid(self) -> bool:
        """Whether the digest is what it was."""
        return self.path.exists() and self.path.read_text(encoding="utf-8") == self._digest()

    def set(self) -> None:
        """Write the digest down."""
        self.path.write_text(self._digest(), encoding="utf-8")

    def _digest(self) -> str:
        return digest_of(*self.folders)


def digest_of(*folders: Path) -> str:
    """A digest of the files in some folders, and of the versions of the generator's tools."""
    digest = hashlib.sha256(" ".join(map(version, TOOLS)).encode())
    for folder in folders:
        for file in sorted(one for one in folder.rglob("*") if one.suffix in (".py", ".j2", ".json")):
            digest.update(f"{file.relative_to(folder)}\0".encode() + file.read_bytes())
    return digest.hexdigest()
