"""The generator: reference attention, pose guiders, codec, sampling, training, weights."""
