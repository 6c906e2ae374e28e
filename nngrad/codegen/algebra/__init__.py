"""What formulas are made of.

The words of the language: `vocabulary` says what a word is, `words` is the table of them; with tables of their own
`gaussians`, `exp_words`, and, which only derivations use, `log_words`, `share_words`, `piece_words`, `turn_words`. All
else: `symbols`, `small` numbers, and what of all this is `remembered`, their `texts` apart. What mpmath needs to
compute them: `exact`.
"""
