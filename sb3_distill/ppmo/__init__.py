from sb3_distill.ppmo.policies import CnnPolicy, MlpPolicy, MultiInputPolicy
from sb3_distill.ppmo.ppmo import PPMO

__all__ = ["PPMO", "CnnPolicy", "MlpPolicy", "MultiInputPolicy"]
