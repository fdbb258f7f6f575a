"""
What the documentation shows, as a user's script that is checked with ``mypy --strict`` and never run: all of it must be well
typed, and no result may be ``Any``.
"""

from pathlib import Path
from typing import assert_type

import gymnasium as gym
import numpy as np
import torch as th
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize
from torch.utils.data import DataLoader

from sb3_distill import (
    PPMO,
    DAgger,
    DatasetError,
    DistilledPolicy,
    Evaluation,
    Expert,
    LearnerComponent,
    LearnerDistribution,
    SyntheticDataset,
    clone,
    evaluate_learners,
    make_vec_env,
    min_instances,
    shipped_sets,
)
from sb3_distill.atari.vec_env import AtariVecEnv

path = Path("cartpole2d.safetensors")

# Environments
env = make_vec_env("NDCartPole2D-v0", n_envs=64, seed=0)
assert_type(env, VecEnv)
make_vec_env("NDCartPole-v0", 8, env_kwargs=dict(n_dims=3))
make_vec_env("NDCartPole2D-v0", 8, vec_env_cls=DummyVecEnv)
make_vec_env(lambda: gym.make("CartPole-v1"), n_envs=4, wrapper_class=gym.wrappers.ClipReward)
make_vec_env(path, 4)
make_vec_env("cartpole2d.safetensors", 4)
make_vec_env("PongNoFrameskip-v4", n_envs=8, vec_env_cls=AtariVecEnv)
normalized = VecNormalize(make_vec_env("Pendulum-v1", n_envs=16, seed=0), gamma=0.9)

# Distilling
model = PPMO("MlpPolicy", env, n_instances=3, gamma=0.995, seed=0, verbose=1)
assert_type(model, PPMO)
assert_type(model.learn(2_000_000, progress_bar=True), PPMO)
assert_type(model.dataset, SyntheticDataset)
model.dataset.save("cartpole2d.safetensors")
model.dataset.save(path)
model.save("model.zip")
assert_type(PPMO.load("model.zip", env=env), PPMO)
assert_type(PPMO.load(path).dataset, SyntheticDataset)
action, _ = model.predict(np.zeros(8, dtype=np.float32), deterministic=True)

PPMO("MlpPolicy", env, 3e-4)
PPMO("MlpPolicy", "CartPole-v1")
PPMO("MlpPolicy", gym.make("CartPole-v1"))
PPMO("MlpPolicy", env, learning_rate="lin_0.02")
PPMO("MlpPolicy", env, learning_rate=LinearSchedule(0.03, 0.0, 1.0), labels_learning_rate="lin_0.075")
PPMO("MlpPolicy", env, learning_rate=lambda left: 0.01 * left, rates_learning_rate=0.1, critic_learning_rate="lin_0.01")
PPMO("MlpPolicy", env, clip_range=lambda left: 0.2 * left, clip_range_vf=0.2)
PPMO("MlpPolicy", env, inner_learning_rate=0.3)
PPMO("MlpPolicy", env, regularizers={"cvar": 0.3, "dropout": 0})
PPMO("MlpPolicy", env, inner_learning_rate=[1.0, 0.5], n_inner_steps=2)
PPMO("MlpPolicy", env, inner_learning_rate=[[1.0] * 6], inner_rate_per_role=True)
PPMO("MlpPolicy", env, inner_loop="ridge", n_instances=64, n_learners=16, weight_decay=0.0)
PPMO("MlpPolicy", env, n_inner_steps=2, inner_rate_per_role=True, inner_rate_relative=True, learner_distribution="table1")
PPMO("MlpPolicy", env, initial_dataset="NDCartPole2D-v0")
PPMO("MlpPolicy", env, initial_dataset=path)
PPMO("MlpPolicy", env, initial_dataset=model.dataset)
PPMO("MlpPolicy", env, dataset_init="observations")
PPMO("MlpPolicy", env, encoder_layers=1, encoder_from=PPMO("MlpPolicy", env, encoder_layers=2).learn(1_000_000).dataset)
PPMO("MlpPolicy", normalized, input_scale_learning_rate=0.01, policy_kwargs=dict(activation_fn=th.nn.ReLU, net_arch=[64]))
PPMO("CnnPolicy", env, encoder_layers=4, autocast_dtype="bfloat16", n_epochs=2, batch_size=512, ent_coef=0.003)
PPMO("MlpPolicy", env, use_sde=True, sde_sample_freq=4, tensorboard_log="logs", device="cpu", target_kl=0.01)

# Distributions of learners
mixture = [
    {"init": "orthogonal", "width": [32, 128], "depth": [1, 3], "weight": 3.0},
    {"init": ["xavier_uniform", "pytorch"], "activation": ["tanh", "relu"], "last_gain": 1.0},
]
PPMO("MlpPolicy", env, learner_distribution=mixture)
PPMO("MlpPolicy", env, learner_distribution={"width": [16, 32]})
PPMO("MlpPolicy", env, learner_distribution=LearnerDistribution.parse("wide"))
assert_type(LearnerDistribution.parse(mixture), LearnerDistribution)
distribution = LearnerDistribution((LearnerComponent(init=("orthogonal",)),))
PPMO("MlpPolicy", env, learner_distribution=distribution)

# Teaching
policy = DistilledPolicy.from_dataset("cartpole2d.safetensors", seed=1)
assert_type(policy, DistilledPolicy)
observations = env.reset()
actions, states = policy.predict(observations, deterministic=True)
print(actions.shape, actions[0])
print(policy.dataset.info.env_id, policy.dataset.n_instances)
print(evaluate_policy(policy, env, 32)[0])
DistilledPolicy.from_dataset(model.dataset)
DistilledPolicy.from_dataset(path, "MlpPolicy", policy_kwargs=dict(net_arch=[128, 128, 128]), device="cpu")
DistilledPolicy.from_dataset("NDCartPole2D-v0/wide", policy=DQN.policy_aliases["MlpPolicy"], seed=0)
DistilledPolicy.from_dataset(path, PPO("MlpPolicy", env).policy)
agent = policy.to_algorithm(PPO, env)
assert_type(agent, PPO)
assert_type(agent.learn(10_000), PPO)
agent.save("agent.zip")
assert_type(policy.to_algorithm(A2C, env, fold_normalization=True, learning_rate=1e-3, seed=0), A2C)

# Evaluating
result = evaluate_learners("cartpole2d.safetensors", n_learners=100, n_episodes=100)
assert_type(result, Evaluation)
assert_type(result.mean, float)
assert_type(result.std, float)
assert_type(result.iqm_interval(0.9), tuple[float, float])
print(result.returns.shape, result.learner_means.max(), result.summary()["iqm"])
assert_type(evaluate_learners(model.dataset, 10, 5, True), Evaluation)
assert_type(evaluate_learners(path, grid=None), Evaluation)
assert_type(evaluate_learners(path, teach=False, deterministic=True, max_envs=100, seed=None), Evaluation)
assert_type(evaluate_learners(path, learner_distribution="table1", device="cpu", progress_bar=True), Evaluation)
assert_type(evaluate_learners(path, env=lambda n_envs: make_vec_env("CartPole-v1", n_envs)), Evaluation)
assert_type(evaluate_learners(path, policy="MlpPolicy", policy_kwargs=dict(net_arch=[32])), Evaluation)
cells = evaluate_learners(path, grid="table1")
assert_type(cells, dict[str, Evaluation])
for name, cell in cells.items():
    print(name, cell.mean)
evaluate_learners(path, 20, 20, grid="random64")
evaluate_learners(path, grid={"narrow": {"width": 16}, "deep": {"width": 64, "depth": 8, "activation": "relu"}})
evaluate_learners(path, grid=Path("grid.json"))

# Imitating
expert = Expert.load("agent.zip", normalization="vecnormalize.pkl", algo="ppo")
assert_type(expert, Expert)
cloned = clone(expert, "NDCartPole2D-v0", total_timesteps=100_000, n_instances=6, inner_loop="ridge")
assert_type(cloned, DAgger)
assert_type(cloned.dataset, SyntheticDataset)
dagger = DAgger("MlpPolicy", normalized, Expert(agent.policy), n_instances=64, expert_share="lin_0.5", learning_rate=0.003)
assert_type(dagger.learn(10_000), DAgger)
PPMO("MlpPolicy", normalized, initial_dataset=dagger.dataset)

# Files
try:
    dataset = SyntheticDataset.load("NDCartPole2D-v0/wide")
except DatasetError as error:
    raise SystemExit(str(error)) from error
assert_type(dataset, SyntheticDataset)
assert_type(dataset.n_instances, int)
dataset.save(path)
print(shipped_sets(), dataset.info.scores, dataset.info.versions)
assert_type(min_instances(gym.spaces.Discrete(4)), int)

# A loop of one's own
loader = DataLoader(dataset.to_torch(), batch_size=dataset.n_instances)
network = th.nn.Sequential(th.nn.Linear(8, 64), th.nn.Tanh(), th.nn.Linear(64, 4))
optimizer = th.optim.Adam(network.parameters())
for synthetic, labels in loader:
    loss = (network(synthetic) - labels).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
