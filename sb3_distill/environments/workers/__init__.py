"""The processes of a ``WorkerVecEnv``."""
