"""The small models that ship, and the scripts that train them."""
