"""Models that detect objects: where their boxes stand, and which of them are kept."""
