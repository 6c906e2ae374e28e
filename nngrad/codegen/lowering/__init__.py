"""Stage 6 in its parts, around `nngrad.codegen.lower`: a graph of operations, and the code that it becomes.

The graph: `node`, `literals`, `quotients`, `picks`, `exponents`, `chance`, `signs`, `branches`, `joint`, `guards`.
What it costs, and in which order: `cost`, `schedule`. Its lines: `infix`, `comments`, `numpy_code`, `tensor_code`.
The functions: `slopes`, `bodies`, `assemble`; of products of tensors `contract`.
"""
