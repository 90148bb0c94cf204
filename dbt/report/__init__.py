"""The training report: marts in, one self-contained page out."""
