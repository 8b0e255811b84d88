"""Run directories: what was run, its checkpoints, tables and what they give back."""
