"""Heat maps, bar charts, words in colour, and pages of HTML."""
