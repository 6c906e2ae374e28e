"""The generator: from the formulas of a spec to documented NumPy ops with every derivative.

`pipeline` runs the stages that docs/pipeline.svg shows. Each is a module of its name, which takes what the one before
returns. What a stage consists of is in a folder beside it, whose docstring is a map of it.

Stage 1, spec: `language` is what a spec file imports; formulas are made of what is in `algebra`.
Stage 2, trace: in `trace` a function becomes a formula; its parts are in `tracing`.
Stage 3, rewrite: in `rewrite` a naive formula becomes a stable one, by the rules of `rewriting`.
Stage 4, derive: in `derive` the derivatives of it are taken.
Stage 5, forms: `forms` finds equal forms of them by `rules`, `selection` chooses among them, `elementwise` by judging
    each, `chosen` is what comes of it, and `choices` records that. `certify` is the oracle; others who judge are in
    `judging`.
Stage 6, lower: in `lower` expressions become a graph of operations, and this becomes code, in `lowering`.
Stage 7, emit: in `emit` functions become files, through the templates; what else goes into them is in `emitting`.

Around the stages:
    The command line: `__main__`, `command`, `documents`, `stamp`, `budget`. In a program: `define`, `ask`.
    What is told of an op: `explain`, with `writing` for formulas and `showing` for terminals, pages and pictures.
"""
