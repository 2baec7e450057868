"""What maps are measured by."""
