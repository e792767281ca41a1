"""The text of the module."""
print(__doc__)
x: int = 3
print(__annotations__)
