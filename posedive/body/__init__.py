"""A person as a mesh: the skeleton, SMPL through smplx, and sources of poses."""
