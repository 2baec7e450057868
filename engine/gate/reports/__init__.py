"""The pages and files that the gate writes."""
