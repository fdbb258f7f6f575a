"""
Simulators behind SB3's interface.

* ``make``: ``make_vec_env``, which picks the fastest way to step a task.
* ``gymnasium_vec_env``, ``worker_vec_env``, ``envpool_vec_env``, ``atari``: the ways there are.
* ``plugins``: what an id tells before anything is made.
* ``origin``, ``wrappers``, ``vec_normalize``: what a dataset records of its environment, and how that is restored.
* ``random_rollout``, ``finite``: observations to begin with, and checks that they are numbers.
"""
