"""Data of users: pictures and their preprocessing, tables, labels."""
