"""Proximal Policy Meta-Optimization: the outer loop."""

from typing import Any, Self

import torch as th
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback
from stable_baselines3.common.utils import explained_variance

from sb3_distill.dataset.synthetic_dataset import DatasetLike
from sb3_distill.learners.distribution import LearnerDistributionLike
from sb3_distill.online.rollout import Bootstrap
from sb3_distill.outer_loop.combination import Combine
from sb3_distill.outer_loop.defaults import resolve_ent_coef, resolve_n_steps
from sb3_distill.outer_loop.rates import schedule
from sb3_distill.outer_loop.regularization import RegularizersLike
from sb3_distill.outer_loop.settings import InnerRate, Settings
from sb3_distill.ppmo.failure import TellsFailure
from sb3_distill.ppmo.losses import normalize, policy_loss, value_loss
from sb3_distill.teaching.acting import LearnerOutputs
from sb3_distill.trees import map_leaves, stack
from sb3_distill.typing import Array, AutocastDtype, DatasetInit, InnerLoopName, Normalize, Rate, RawObservations


class PPMO(TellsFailure):
    """
    Proximal Policy Meta-Optimization (Algorithm 1 of Wilhelm & Ventura, "Distilling Reinforcement Learning into
    Single-Batch Datasets", 2025, https://arxiv.org/abs/2508.09283).

    Learns a synthetic dataset such that a freshly initialised policy, trained on it for one step, solves the environment.
    What is not described here is as in ``stable_baselines3.PPO``; defaults differ.

    :param policy: The policy model to use (MlpPolicy, CnnPolicy, ...)
    :param env: The environment to learn from (if registered in Gym, can be str)
    :param n_steps: Steps of each environment in a rollout. ``None``: 128, or as many as give 1024 transitions
    :param ent_coef: Weight of the entropy in the loss. ``None``: 0.01 for discrete actions, 0 for continuous ones
    :param n_instances: Number of synthetic instances, ``k`` of the paper. ``None``: 16 for discrete actions (from 16 to 64, as
        many as there are states, for discrete observations), 64 for continuous ones. ``min_instances(space)`` is the paper's
        minimum (Eq. 3)
    :param n_learners: Number of learners that are drawn, taught and scored in each iteration; a divisor of ``n_envs``.
        ``None``: the largest divisor up to 8
    :param learner_distribution: The networks that the dataset shall teach: a ``LearnerDistribution``, or what its ``parse``
        takes. ``None``: the given policy with SB3's own initialisation
    :param inner_loop: How learners are trained on the dataset: ``"sgd"``, gradient steps, ``"ridge"``, a closed-form solve of
        the last layer, or ``"carry"``, one of every linear layer, which teaches far more architectures
    :param inner_learning_rate: Initial value of the learned rate of the gradient steps. ``None``: 1, for continuous actions
        0.6 per dimension, for relative rates 0.5 per output; less where the first outputs would be large (images)
    :param inner_rate_per_role: Learn one rate for each role of a parameter (weights, biases; first, hidden, last layer)
        instead of one for all, so that a set carries over to other depths
    :param inner_rate_relative: Measure rates relative to the size of a learner's features, so that several steps converge
        for networks of any scale, and one step still does when an encoder makes the features of images larger. ``None``: for
        images
    :param carry_strength: Initial strength with which ``"carry"`` adds labels to the outputs of hidden layers; learned.
        ``None``: 3 for discrete actions, 0.1 for continuous ones
    :param n_inner_steps: Number of gradient steps (the paper: 1)
    :param initial_dataset: A dataset, file or shipped set to continue from
    :param dataset_init: How the synthetic observations start: ``"normal"``, drawn from a standard normal distribution (the
        paper), or ``"observations"``, states that random actions visit (a rollout of them comes before learning)
    :param encoder_layers: ``l`` of the paper: so many first layers of the learners are an encoder, which all of them share and
        which is trained by the outer loss, with the dataset (Algorithm 2). 0: full distillation; all layers: PPO
    :param encoder_from: A dataset, file or shipped set with more layers in its encoder, to continue from: the last layers are
        given back to the learners (the rollback of Table 2). With images a rollout of random actions comes before learning,
        and rates fall where taught learners would be too sure of what to do
    :param learning_rate: Step size of Adam on the synthetic observations
    :param labels_learning_rate: The same for the labels; ``None``: 10 times ``learning_rate``
    :param rates_learning_rate: The same for the logarithms of the learned rates; ``None``: 5 times ``learning_rate``
    :param log_std_learning_rate: The same for the log-std of continuous actions; ``None``: as ``learning_rate``
    :param critic_learning_rate: The same for the critic; ``None``: 0.5 times ``learning_rate``
    :param encoder_learning_rate: The same for the encoder; ``None``: 0.05 times ``learning_rate``
    :param input_scale_learning_rate: The same for the logarithms of weights of the observations, which are learned then, and
        travel with the statistics of observations that they need. One step on random features cannot tell important
        numbers of a long observation from others. ``None``: no weights, or those of ``initial_dataset`` as they are
    :param weight_decay: Decoupled weight decay of the synthetic observations. It keeps them where the activations of all
        learners respond alike; without it they grow, and a few learners in a hundred fail
    :param batch_size: Transitions of a minibatch, all learners together. ``None``: a quarter of a rollout, at least 64
    :param vf_coef: Scale of the critic's loss. The critic shares nothing with the dataset, but where the encoder holds the
        whole features extractor, that is shared and trained by both losses, as in SB3's PPO
        (``policy_kwargs=dict(share_features_extractor=False)`` to keep them apart)
    :param max_grad_norm: Bound of the gradient norm, for the dataset, the encoder and the critic apart
    :param autocast_dtype: ``"bfloat16"`` to let networks see real observations in that precision and with channels last, which
        is faster for images; losses, the dataset and inner learning stay in single precision
    :param regularizers: What makes the dataset teach learners that it was not made with, by name with its size, all off by
        default: ``cvar`` and ``group_dro`` (the loss is about learners, or components of their distribution, that do worst),
        ``dropout`` of hidden units, ``init_noise``, ``inner_noise`` and ``step_noise`` (initial parameters, learned numbers
        and number of steps of the inner loop vary), ``agreement`` (learners shall act alike)
    :param combine: ``"probs"`` or ``"logits"`` to distil for an ensemble: all learners see the same observations, and act
        and are judged together, by the mean of their probabilities or logits (for a ``Box`` of their means), which takes
        ``n_learners`` times the forward passes; ``None``: each by itself
    :param normalize: Normalise observations and rewards inside PPMO, with running statistics as of SB3's ``VecNormalize``; the
        environment, ``policy`` and ``predict`` keep raw observations. ``"observations"`` or ``"rewards"``: one of them;
        ``None``: rewards, and observations that are numbers in a row, but nothing where the environment normalises
    """

    outer_loss = "ppo"

    def __init__(
        self,
        policy: str | type[ActorCriticPolicy],
        env: GymEnv | str,
        learning_rate: Rate = 0.005,
        n_steps: int | None = None,
        batch_size: int | None = None,
        n_epochs: int = 4,
        gamma: float = 0.99,
        gae_lambda: float = 0.95,
        clip_range: Rate = 0.2,
        clip_range_vf: Rate | None = None,
        normalize_advantage: bool = True,
        ent_coef: float | None = None,
        vf_coef: float = 0.5,
        max_grad_norm: float = 0.5,
        use_sde: bool = False,
        sde_sample_freq: int = -1,
        rollout_buffer_class: type[RolloutBuffer] | None = None,
        rollout_buffer_kwargs: dict[str, Any] | None = None,
        target_kl: float | None = None,
        stats_window_size: int = 100,
        tensorboard_log: str | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: th.device | str = "auto",
        _init_setup_model: bool = True,
        *,
        n_instances: int | None = None,
        n_learners: int | None = None,
        learner_distribution: LearnerDistributionLike | None = None,
        inner_loop: InnerLoopName = "sgd",
        inner_learning_rate: InnerRate | None = None,
        inner_rate_per_role: bool = False,
        inner_rate_relative: bool | None = None,
        carry_strength: float | None = None,
        n_inner_steps: int = 1,
        initial_dataset: DatasetLike | None = None,
        dataset_init: DatasetInit = "normal",
        encoder_layers: int = 0,
        encoder_from: DatasetLike | None = None,
        autocast_dtype: AutocastDtype | None = None,
        regularizers: RegularizersLike | None = None,
        combine: Combine | None = None,
        normalize: Normalize | None = None,
        labels_learning_rate: Rate | None = None,
        rates_learning_rate: Rate | None = None,
        log_std_learning_rate: Rate | None = None,
        critic_learning_rate: Rate | None = None,
        encoder_learning_rate: Rate | None = None,
        input_scale_learning_rate: Rate | None = None,
        weight_decay: float = 0.1,
    ) -> None:
        self.weight_decay, self.batch_size, self.n_epochs = weight_decay, batch_size, n_epochs
        self.clip_range, self.clip_range_vf, self.target_kl = clip_range, clip_range_vf, target_kl
        self.normalize_advantage = normalize_advantage
        self.labels_learning_rate, self.rates_learning_rate = labels_learning_rate, rates_learning_rate
        self.log_std_learning_rate, self.critic_learning_rate = log_std_learning_rate, critic_learning_rate
        self.encoder_learning_rate = encoder_learning_rate
        self.input_scale_learning_rate = input_scale_learning_rate
        super().__init__(
            policy,
            env,
            arguments=Settings(
                n_instances=n_instances,
                n_learners=n_learners,
                learner_distribution=learner_distribution,
                inner_loop=inner_loop,
                inner_learning_rate=inner_learning_rate,
                inner_rate_per_role=inner_rate_per_role,
                inner_rate_relative=inner_rate_relative,
                carry_strength=carry_strength,
                n_inner_steps=n_inner_steps,
                initial_dataset=initial_dataset,
                dataset_init=dataset_init,
                encoder_layers=encoder_layers,
                encoder_from=encoder_from,
                autocast_dtype=autocast_dtype,
                regularizers=regularizers,
                combine=combine,
                normalize=normalize,
            ),
            learning_rate=learning_rate,
            n_steps=n_steps,
            gamma=gamma,
            gae_lambda=gae_lambda,
            ent_coef=ent_coef,
            vf_coef=vf_coef,
            max_grad_norm=max_grad_norm,
            use_sde=use_sde,
            sde_sample_freq=sde_sample_freq,
            rollout_buffer_class=rollout_buffer_class,
            rollout_buffer_kwargs=rollout_buffer_kwargs,
            stats_window_size=stats_window_size,
            tensorboard_log=tensorboard_log,
            policy_kwargs=policy_kwargs,
            verbose=verbose,
            seed=seed,
            device=device,
        )
        if _init_setup_model:
            self._setup_model()

    def _setup_model(self) -> None:
        self.n_steps = resolve_n_steps(self.n_steps, self.n_envs)
        self.ent_coef = resolve_ent_coef(self.ent_coef, self.action_space)
        super()._setup_model()
        self.clip_range = schedule(self.clip_range)
        if self.clip_range_vf is not None:
            self.clip_range_vf = schedule(self.clip_range_vf)

    @th.no_grad()
    def _finish_rollout(
        self, buffer: RolloutBuffer, seen: LearnerOutputs, bootstraps: list[Bootstrap], last_obs: RawObservations, dones: Array
    ) -> None:
        """Log-probabilities, values and advantages of a whole rollout at once."""
        shape = buffer.rewards.shape
        actions = th.as_tensor(buffer.actions.reshape(shape[0] * shape[1], -1), device=self.device)
        log_probs = self.parts.actor.distribution.log_prob(seen.outputs, actions, self.dataset.log_std, seen.latent)
        buffer.log_probs[:] = log_probs.reshape(shape).cpu().numpy()
        if seen.features is not None:
            values = self.critic.values_from_features(seen.features)
        else:
            flat = map_leaves(lambda value: value.reshape(-1, *value.shape[2:]), buffer.observations)
            values = self.critic.values_from_arrays(flat, rollout=True)
        buffer.values[:] = values.reshape(shape).cpu().numpy()
        if bootstraps:
            # An episode cut by its time limit would have gone on, see SB3's issue 633.
            steps, envs, final = zip(*bootstraps, strict=True)
            buffer.rewards[list(steps), list(envs)] += self.gamma * self.critic.values_from_arrays(stack(final)).cpu().numpy()
        buffer.gamma, buffer.gae_lambda = self.gamma, self.gae_lambda
        buffer.compute_returns_and_advantage(self.critic.values_from_arrays(last_obs), dones)

    def train(self) -> None:
        """
        Lines 6 to 15 of Algorithm 1: update dataset and critic on the rollout. Before each minibatch all learners are taught
        anew, from the same initial parameters, so that the policies change through the dataset alone.
        """
        self._before_updates()
        actor, distribution, progress = self.parts.actor, self.parts.actor.distribution, self._current_progress_remaining
        clip_range = schedule(self.clip_range)(progress)
        clip_range_vf = None if self.clip_range_vf is None else schedule(self.clip_range_vf)(progress)
        explained = explained_variance(self.rollout_buffer.values.flatten(), self.rollout_buffer.returns.flatten())
        # Of all figures of a rollout, mean advantages come closest to the order of the learners' returns.
        scores = th.as_tensor(self.rollout_buffer.advantages).view(self.n_steps, self.n_learners, -1).mean(dim=(0, 2))
        weights = self.distiller.regularization.weigh(self.parts.learners, scores)
        log: dict[str, list[th.Tensor]] = {}
        continue_training = True

        for epoch in range(self.n_epochs):
            for batch in self.rollout_buffer.get(self._minibatch_size(self.n_envs)):
                learners = self.distiller.teach(self.parts.learners)
                seen = actor.outputs(learners, batch.observations)
                log_prob = distribution.log_prob(seen.outputs, batch.actions, self.dataset.log_std, seen.latent)
                with th.set_grad_enabled(self.ent_coef != 0):
                    entropy = distribution.entropy(seen.outputs, self.dataset.log_std, seen.latent)
                advantages = normalize(batch.advantages) if self.normalize_advantage else batch.advantages
                surrogate = policy_loss(log_prob, batch.old_log_prob, advantages, clip_range, weights)
                entropy_loss = log_prob.mean() if entropy is None else -entropy.mean()
                values = self.critic(batch.observations, seen.features)
                critic_loss = value_loss(values, batch.returns, batch.old_values, clip_range_vf)
                loss = surrogate.loss + self.ent_coef * entropy_loss + self.vf_coef * critic_loss
                loss = self.parts.with_agreement(loss, learners, batch.observations, log)

                if self.target_kl is not None and surrogate.approx_kl > 1.5 * self.target_kl:
                    continue_training = False
                    if self.verbose >= 1:
                        print(f"Early stopping at step {epoch} due to reaching max kl: {surrogate.approx_kl:.2f}")
                    break

                grad_norm = self.distiller.step(loss, self.max_grad_norm)
                for name, value in (
                    ("policy_gradient_loss", surrogate.loss), ("value_loss", critic_loss), ("entropy_loss", entropy_loss),
                    ("approx_kl", surrogate.approx_kl), ("clip_fraction", surrogate.clip_fraction), ("loss", loss),
                    ("dataset_grad_norm", grad_norm),
                ):  # fmt: skip
                    log.setdefault(name, []).append(value.detach())
            self._n_updates += 1
            if not continue_training:
                break

        self._after_updates(batch.observations)
        self._log(log)
        self._note(explained, log.get("entropy_loss", []))
        self.logger.record("train/explained_variance", explained)
        self.logger.record("train/clip_range", clip_range)
        if clip_range_vf is not None:
            self.logger.record("train/clip_range_vf", clip_range_vf)

    def learn(
        self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        log_interval: int = 1,
        tb_log_name: str = "PPMO",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> Self:
        """
        :raises ValueError: if there is no environment
        """
        return super().learn(total_timesteps, callback, log_interval, tb_log_name, reset_num_timesteps, progress_bar)
