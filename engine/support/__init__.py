"""Helpers of every room: files written whole or not at all, JSON read against a schema, names chosen from a list."""
