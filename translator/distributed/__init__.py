"""The processes of a job: which they are, how they are started, what happens when one fails."""

from translator.distributed.world import World

__all__ = [
    "World",
]
