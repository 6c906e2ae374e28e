"""Stage 3 in its parts: the rules by which `nngrad.codegen.rewrite` makes naive formulas stable.

Of numbers: `recognise`, `identities`. Of rows: `deviations`, `members`, `shift`, `shares`, `ratios`, `rescale`, all by
`restage`.
"""
