"""Data-parallel training: worker processes that each compute a shard of every batch."""
