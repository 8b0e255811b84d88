"""Off-policy agents: one loop over a buffer, and algorithms as settings of few learners."""
