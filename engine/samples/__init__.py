"""The samples of a comparison, an evaluation or a run over a data set, read one after another."""
