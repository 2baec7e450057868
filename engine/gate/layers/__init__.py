"""The layers of two models: which belong together, and where their evidence parts."""
