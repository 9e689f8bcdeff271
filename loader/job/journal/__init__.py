"""The journal of a job: what a load did, durable before it goes on, and how it is read later."""

from loader.job.journal.journal import Journal, journalled
from loader.job.journal.steps import Steps, Unjournalled

__all__ = ["Journal", "Steps", "Unjournalled", "journalled"]
