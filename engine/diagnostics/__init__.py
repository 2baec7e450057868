"""Reports on a model: its layers, which nodes a gradient reaches, whether two gradient builders agree."""
