//! One per shard: group commit of small batches, checkpoint, replay.
