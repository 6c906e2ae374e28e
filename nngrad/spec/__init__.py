"""Every op of nngrad: its forward formula, once, and nothing else. One file a subject.

`python -m nngrad.codegen` derives the rest. The words are those of `nngrad.codegen.language`; inside a formula a
reduction keeps its axis with length 1, and numbers are exact.
"""

from nngrad.spec.activations import *
from nngrad.spec.contractions import *
from nngrad.spec.elementwise import *
from nngrad.spec.losses import *
from nngrad.spec.norms import *
from nngrad.spec.reductions import *
from nngrad.spec.structural import *
