"""One module per chart; each has `section(marts)`, which reads its mart and says how to draw it."""
