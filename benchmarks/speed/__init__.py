"""Times of the public calls beside those of other packages, with the memory that each takes."""
