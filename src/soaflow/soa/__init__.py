"""Structure-of-arrays collections: layout (offsets), storage (HDF5) and tensors (views)."""
