"""The synthetic dataset: what is learned, and its file."""

from sb3_distill.dataset.file import shipped_sets
from sb3_distill.dataset.info import DatasetInfo
from sb3_distill.dataset.normalization import Normalization
from sb3_distill.dataset.synthetic_dataset import SyntheticDataset
from sb3_distill.errors import DatasetError

__all__ = [
    "DatasetError",
    "DatasetInfo",
    "Normalization",
    "SyntheticDataset",
    "shipped_sets",
]
