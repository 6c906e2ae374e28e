"""The generator: from the formulas of a spec to documented NumPy ops with every derivative."""
