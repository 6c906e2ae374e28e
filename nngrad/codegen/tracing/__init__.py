"""Stage 2 in its parts, around `nngrad.codegen.trace`.

What a function becomes: `formula`. While it runs: `instrument`, `record`, `steps`. What to say of mistakes: `mistakes`.
"""
