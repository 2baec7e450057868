"""The page that `onnxray report` makes of a run."""
