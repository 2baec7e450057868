"""What users give: pictures and their preprocessing, tables, labels."""
