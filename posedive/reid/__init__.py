"""The downstream yardstick: a Re-ID network, its training, and its scores as published."""
