"""
A distilled policy as the start of ordinary training: teach a network, make an SB3 `PPO` of it, learn on, save.

The task changes after teaching: poles of another length, which the dataset has never seen.

    python examples/continue_with_ppo.py
"""
