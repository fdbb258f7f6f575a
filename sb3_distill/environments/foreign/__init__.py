"""
Environments of others.

* ``look``: what they are made of.
* ``copies``: arrays that they may write into again.
* ``hand_over``: whatever a caller calls an environment, as a ``VecEnv``.
* ``masks``: which actions they allow.
"""
