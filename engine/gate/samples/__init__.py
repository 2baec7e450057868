"""The samples of a comparison or evaluation, and their masks."""
