"""What a model can be asked: its layers, what a gradient reaches, whether two builders agree."""
