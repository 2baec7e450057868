"""Heat maps and bar charts."""
