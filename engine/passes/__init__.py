"""Graph to graph, a pass per file."""
