"""What `nngrad.codegen.emit` writes beside kernels: what they call (`approximate`), formulas (`latex`)."""
