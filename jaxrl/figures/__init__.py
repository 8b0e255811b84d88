"""Figures: curves, fronts, attainment, comparisons."""
