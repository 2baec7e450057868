"""The graph itself: builder, model, shapes, weights, and walks through it."""
