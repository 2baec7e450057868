"""From a file to a checked, upgraded model."""
