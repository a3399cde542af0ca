"""The generator: reference attention, pose guiders, codec, schedule, sampling, training, weights."""
