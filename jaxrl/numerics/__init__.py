"""Arithmetic that any part may use: sets of return vectors and what they are worth, preference weights."""
