"""Where the parts of a sweep run: other processes of this machine, a SLURM cluster, a Ray cluster, or one's own."""

from jaxrl.clusters.base import CLUSTERS, Cluster, Job, make_cluster, register_cluster
from jaxrl.clusters.jobs import run_jobs

__all__ = ["CLUSTERS", "Cluster", "Job", "make_cluster", "register_cluster", "run_jobs"]
