"""Formulas as text: in Python (`readable`), for the eye (`notation`), and without what only kernels need (`plain`)."""
