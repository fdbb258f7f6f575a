"""The commands that distil: ``sb3-distill clone`` and ``sb3-distill rollback``."""

import argparse
from pathlib import Path

import torch as th
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from sb3_distill.cli.learning.agent import add_statistics, statistics_of
from sb3_distill.cli.mistakes import interruption_says, refused_by
from sb3_distill.cli.parsing import AddCommand, add_gym_packages, add_params, levels_of, positive, read_params, seed
from sb3_distill.cli.printing import kind_of, print_table, score_of
from sb3_distill.dagger.algorithm import DAgger
from sb3_distill.dagger.cloning import clone
from sb3_distill.dagger.expert import Expert
from sb3_distill.dataset.file import check_path
from sb3_distill.environments.atari.vec_env import AtariVecEnv
from sb3_distill.environments.make import make_vec_env
from sb3_distill.environments.plugins import import_plugin, is_atari
from sb3_distill.ppmo import PPMO
from sb3_distill.report import pictures
from sb3_distill.rollback.ladder import rollback
from sb3_distill.rollback.level_files import RESULTS
from sb3_distill.typing import Json
from sb3_distill.whole_files import check_writable

ROLLBACK_SAYS = {"seed", "encoder_layers", "encoder_from", "env", "policy"}
CLONE_SAYS = {"policy", "env", "expert", "seed", "learner_distribution", "inner_loop", "n_instances"}
"""Arguments of the algorithms that the commands set themselves."""


def add_learning_commands(add: AddCommand) -> None:
    """
    :param add: adds a command
    """
    command = add("rollback", _rollback, "Distil with an encoder that gives its layers back level by level (Table 2).")
    command.add_argument("--env", required=True, help="Gymnasium id of the environment")
    command.add_argument("--levels", required=True, help="layers in the encoder, from many to few: 4,3,2,1,0")
    command.add_argument(
        "-o", "--output", type=Path, help="folder; a ladder in it that was cut off goes on (default: rollback-<env>)"
    )
    command.add_argument("--timesteps", type=int, default=1_000_000, help="of the environments, each level (default: 1000000)")
    command.add_argument("--policy", help="alias of the policy (default: CnnPolicy for Atari games, else MlpPolicy)")
    command.add_argument("--n-envs", type=int, default=16, help="number of environments (default: 16)")
    command.add_argument("--normalize", action="store_true", help="normalise observations too (default: rewards only)")
    command.add_argument("--seed", type=seed, default=0, help="of everything (default: 0)")
    command.add_argument("--learners", type=int, default=20, help="fresh learners that are evaluated (default: 20)")
    command.add_argument("--episodes", type=int, default=5, help="episodes of each (default: 5)")
    command.add_argument("--minutes", type=float, default=3.0, help="between checkpoints (default: 3)")
    command.add_argument("--num-threads", type=positive, default=1, help="of PyTorch (default: 1)")
    add_params(command, "PPMO")
    add_gym_packages(command)

    command = add("clone", _clone, "Distil an agent that exists: fresh learners are taught to act as it does.")
    command.add_argument("agent", type=Path, help="a zip that an SB3 algorithm saved (a pickle: only what you trust)")
    command.add_argument("--env", required=True, help="Gymnasium id of the environment")
    command.add_argument("-o", "--output", type=Path, required=True, help="the dataset, *.safetensors")
    command.add_argument("--algo", help="the algorithm that saved it (default: seen from its policy)")
    add_statistics(command)
    command.add_argument("--policy", default="MlpPolicy", help="alias of the learners' policy (default: MlpPolicy)")
    command.add_argument("--learner-distribution", help="which learners (default: the policy as SB3 starts it)")
    command.add_argument("--inner-loop", default="sgd", help="sgd, one gradient step (default), or ridge")
    command.add_argument("--n-instances", type=int, help="number of synthetic instances (default: as PPMO)")
    command.add_argument("--timesteps", type=int, default=500_000, help="of the environments, in all (default: 500000)")
    command.add_argument("--n-envs", type=int, default=64, help="number of environments (default: 64)")
    command.add_argument("--seed", type=seed, default=0, help="of everything (default: 0)")
    command.add_argument("--num-threads", type=positive, default=1, help="of PyTorch (default: 1, fastest for small networks)")
    add_params(command, "DAgger, encoder_layers:1 for instance")
    add_gym_packages(command)


def _rollback(options: argparse.Namespace) -> Json:
    levels = levels_of(options.levels)
    params = read_params(options.hyperparams, ROLLBACK_SAYS, PPMO)
    pictures.new_figure(1, 1)  # a missing matplotlib is missed before hours of learning
    th.set_num_threads(options.num_threads)
    output = options.output or Path(f"rollback-{options.env.replace('/', '-')}")
    check_writable(output / RESULTS)
    import_plugin(options.env)
    vec_env_cls = AtariVecEnv if is_atari(options.env) else None

    def make(n_envs: int) -> VecEnv:
        return make_vec_env(options.env, n_envs, seed=options.seed, vec_env_cls=vec_env_cls)

    with interruption_says(f"what was learned is in {output}, and the same command goes on from there"), refused_by(PPMO):
        results = rollback(
            options.policy or ("CnnPolicy" if vec_env_cls else "MlpPolicy"),
            lambda: VecNormalize(make(options.n_envs), norm_obs=options.normalize, gamma=params.get("gamma", 0.99)),
            levels,
            options.timesteps,
            output,
            options.learners,
            options.episodes,
            make,
            options.minutes,
            progress_bar=not options.json,
            seed=options.seed,
            **params,
        )
    picture = output / "rollback.png"
    pictures.ladder(results, picture, options.env)
    if not options.json:
        columns = ("encoder layers", "sampled", "greedy", "environment steps", "iterations")
        print_table(f"{options.env}: scores of fresh learners", columns, [_row(*level) for level in results.items()])
        print(f"picture: {picture}")
    return {**results, "picture": str(picture)}


def _row(level: str, entry: Json) -> list[str]:
    scores = [score_of(entry[kind]) for kind in ("sampled", "greedy")]
    return [level, *scores, f"{entry['timesteps']:,}", f"{entry['iterations']:,}"]


def _clone(options: argparse.Namespace) -> Json:
    check_path(options.output)
    params = read_params(options.hyperparams, CLONE_SAYS, DAgger, DAgger.arguments_of_constructor())
    th.set_num_threads(options.num_threads)
    statistics = statistics_of(options.agent, options)
    expert = Expert.load(options.agent, statistics or "none", options.algo)
    with interruption_says("nothing was written"), refused_by(DAgger):
        model = clone(
            expert,
            options.env,
            options.timesteps,
            options.n_envs,
            progress_bar=not options.json,
            policy=options.policy,
            learner_distribution=options.learner_distribution,
            inner_loop=options.inner_loop,
            n_instances=options.n_instances,
            seed=options.seed,
            **params,
        )
    model.dataset.save(options.output)
    if not options.json:
        if statistics is not None:
            print(f"observations of the agent are normalised by {statistics}")
        made = f"{kind_of(model.dataset)}, k={model.dataset.n_instances}"
        print(f"{options.output}: {made}; PPMO(initial_dataset=...) goes on from it")
    return {
        "dataset": str(options.output),
        "k": model.dataset.n_instances,
        "timesteps": model.dataset.info.timesteps,
        "vecnormalize": None if statistics is None else str(statistics),
    }
