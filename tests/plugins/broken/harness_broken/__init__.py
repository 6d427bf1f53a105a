"""Breaks when it is imported."""
