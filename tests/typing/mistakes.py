"""Mistakes of users that ``mypy`` must find: in each marked line, and in no other."""

from stable_baselines3 import PPO

from sb3_distill import (
    PPMO,
    DAgger,
    DistilledPolicy,
    Expert,
    LearnerDistribution,
    SyntheticDataset,
    clone,
    evaluate_learners,
    make_vec_env,
)

env = make_vec_env("NDCartPole2D-v0", n_envs=8)
dataset = SyntheticDataset.load("NDCartPole2D-v0")
policy = DistilledPolicy.from_dataset(dataset)
expert = Expert.load("agent.zip")

PPMO("MlpPolicy", env, inner_loop="rigde")  # mistake
PPMO("MlpPolicy", env, dataset_init="obs")  # mistake
PPMO("MlpPolicy", env, autocast_dtype="float16")  # mistake
PPMO("MlpPolicy", env, initial_dataset=3)  # mistake
PPMO("MlpPolicy", env, encoder_from=object())  # mistake
PPMO("MlpPolicy", env, learner_distribution=object())  # mistake
PPMO("MlpPolicy", env, learning_rate=None)  # mistake
PPMO("MlpPolicy", env, inner_learning_rate="fast")  # mistake
PPMO("MlpPolicy", env, n_instance=3)  # mistake
PPMO("MlpPolicy", 3.5)  # mistake

make_vec_env(3.5)  # mistake
make_vec_env("NDCartPole2D-v0", "8")  # mistake

evaluate_learners(dataset, n_lerners=3)  # mistake
evaluate_learners(dataset, n_learners="many")  # mistake
evaluate_learners(dataset, grid=3)  # mistake
evaluate_learners(dataset, n_lerners=3, grid="table1")  # mistake
evaluate_learners(dataset, learner_distribution=object())  # mistake
evaluate_learners(3)  # mistake
print(evaluate_learners(dataset).maen)  # mistake
print(evaluate_learners(dataset, grid="table1").mean)  # mistake
print(evaluate_learners(dataset)["lambda"])  # mistake

print(DistilledPolicy.from_dataset(dataset).predict())  # mistake
DistilledPolicy.from_dataset(3)  # mistake
DistilledPolicy.from_dataset(dataset, sed=1)  # mistake
policy.to_algorithm("PPO", env)  # mistake
policy.to_algorithm(PPO, 3.5)  # mistake

clone("agent.zip", "NDCartPole2D-v0")  # mistake
clone(expert, 3.5)  # mistake
DAgger("MlpPolicy", env, "agent.zip")  # mistake

LearnerDistribution.parse(3.5)  # mistake
dataset.save(3)  # mistake
SyntheticDataset.load(3)  # mistake
