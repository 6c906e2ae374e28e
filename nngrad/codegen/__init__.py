"""The generator: from the formulas of a spec to documented NumPy ops with every derivative.

`pipeline` runs the stages that docs/pipeline.svg shows. Each is a module of its name, takes what the one before
returns, and has others beside it:

Stage 1, spec: `language` is what a spec file imports.
    What formulas are made of: `symbols`, `exact`, `vocabulary`; words: `words`, `gaussians`, `log_words`, `exp_words`,
    `share_words`.
Stage 2, trace: in `trace` a function becomes a formula.
    What it becomes: `formula`. While it runs: `instrument`, `record`, `steps`. What to say of mistakes: `mistakes`.
Stage 3, rewrite: in `rewrite` a naive formula becomes a stable one.
    Of numbers: `small`, `recognise`, `identities`. Of rows: `deviations`, `members`, `shift`, `shares`, `ratios`,
    `rescale`, by `restage`.
Stage 4, derive: in `derive` the derivatives of it are taken.
Stage 5, forms: `forms` finds equal forms of them, `selection` chooses, and `choices` records that.
    Rules that make forms: `exponentials`, `logarithms`, `roots`, `factors`, `far`, `remainders`, `several`, `series`,
    `piecewise`, `balance`; for inputs of ordinary size `ordinary`, `parts`; for second derivatives `again`.
    Who judges them: `certify` is the oracle, `simulation` computes what `lower` makes of a form as float32 would,
    `rounding` compares the two, `errors` counts.
Stage 6, lower: in `lower` expressions become a graph of operations, and this becomes code.
    The graph: `node`, `literals`, `quotients`, `picks`, `exponents`, `chance`, `signs`, `branches`, `joint`,
    `guards`.
    What it costs, and in which order: `cost`, `schedule`. Its lines: `infix`, `numpy_code`, `tensor_code`.
    The functions: `slopes`, `bodies`, `assemble`; of products of tensors `contract`.
Stage 7, emit: in `emit` functions become files, through the templates.
    What else goes into them: `approximate`, `latex`.

Around the stages:
    The command line: `__main__`, `command`, `documents`, `stamp`, `budget`. In a program: `define`, `ask`.
    What is told of an op: `explain`, with `plain`, `readable`, `notation`, `kinks`, `records`; shown by `terminal`,
    `page`, `plots`, `gallery`.
    What is measured of the kernels: `certificate`, `samples`.
"""
