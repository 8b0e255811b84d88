"""Loggers: TensorBoard, Weights & Biases, MLflow, CSV files, or one of your own."""

from jaxrl.tracking.base import (
    LOGGERS,
    Logger,
    Tracked,
    Tracking,
    by_member,
    numbers_of,
    register_logger,
    resolve_loggers,
    settings_of,
)

__all__ = [
    "LOGGERS",
    "Logger",
    "Tracked",
    "Tracking",
    "by_member",
    "numbers_of",
    "register_logger",
    "resolve_loggers",
    "settings_of",
]
