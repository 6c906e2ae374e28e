"""What `nngrad.codegen.explain` tells of an op, made visible.

In a terminal: `terminal`. As HTML: `page`, with `plots`; for all ops `gallery`. What there is to know beside the
formula: `kinks`, `records`.
"""
