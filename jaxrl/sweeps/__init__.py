"""Many members on the host: sweeps, their results, designs, memory, devices, tuning and the host loop."""

from jaxrl.sweeps.sweep import Group, Sweep, batch_hyperparameters, sweep

__all__ = ["Group", "Sweep", "batch_hyperparameters", "sweep"]
