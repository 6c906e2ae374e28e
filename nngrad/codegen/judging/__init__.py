"""Who judges forms and kernels, beside the oracle in `nngrad.codegen.certify`.

Of forms: `simulation` computes what `nngrad.codegen.lower` makes of one as float32 would, `rounding` compares it with
the oracle, `errors` counts. Of kernels: `certificate` measures them, at `samples`.
"""
