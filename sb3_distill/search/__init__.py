"""Architecture search: networks scored by distillation, by offline RL and by RL, side by side."""
