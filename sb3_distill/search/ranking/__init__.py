"""Whether a cheap score ranks architectures as full training does: figures, intervals, tests, pictures."""
