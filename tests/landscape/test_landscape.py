"""Planes, rays, barriers and reports around real learners."""

import json

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from helpers import ImageEnv, ReachEnv, random_dataset, simplex_dataset
from stable_baselines3 import PPO

from sb3_distill import DistilledPolicy, Landscape, SyntheticDataset, evaluate_learners, landscape_report, make_vec_env
from sb3_distill.errors import ArgumentError, MisfitError, NotFiniteError, UnsupportedError
from sb3_distill.landscape import LandscapeReport
from sb3_distill.landscape.maths.curvature import gradient
from sb3_distill.landscape.maths.planes import Plane, cosine
from sb3_distill.landscape.report import TITLES
from sb3_distill.networks.anatomy import actor_of

SETTINGS = dict(n_steps=32, batch_size=256, n_epochs=2)
FEW = dict(size=3, n_episodes=2)


@pytest.fixture(scope="module")
def place():
    return Landscape.around(simplex_dataset(2, 10.0), 0, 8_000, rl_settings=SETTINGS)


def test_the_taught_point_is_the_policy_that_a_user_gets(place):
    policy = DistilledPolicy.from_dataset(simplex_dataset(2, 10.0), seed=0, device="cpu")
    flat = th.cat([value.detach().flatten() for value in actor_of(policy).parameters()])
    assert sorted(flat.tolist()) == pytest.approx(sorted(place.points["taught"].tolist()))
    with th.no_grad():
        inputs = th.randn(5, 8, generator=th.Generator().manual_seed(0))
        outputs = place.shape.outputs(place.points["taught"][None], inputs)[0]
    np.testing.assert_allclose(outputs, actor_of(policy)(inputs).detach(), atol=1e-5)


def test_rl_starts_where_the_learner_starts(place):
    np.testing.assert_array_equal(place.path[0], place.points["initial"])
    np.testing.assert_array_equal(place.path[-1], place.points["RL"])
    assert float((place.path[-1] - place.path[0]).norm()) > 0.1
    again = Landscape.around(simplex_dataset(2, 10.0), 0, place.path)
    np.testing.assert_array_equal(again.points["RL"], place.points["RL"])


def test_a_surface_has_returns_errors_and_markers(place):
    surface = place.surface("return", size=5, n_episodes=4)
    assert surface.values.shape == surface.standard_errors.shape == (5, 5)
    assert set(surface.markers) == {"initial", "taught", "RL"}
    assert surface.markers["initial"] == (0, 0)
    assert surface.markers["taught"] == pytest.approx((1, 0), abs=1e-3)
    assert surface.n_diverged == 0 and surface.values.max() <= 500
    assert json.loads(json.dumps(surface.summary(), allow_nan=False))["objective"] == "return"
    assert "step and RL" in repr(surface)


def test_a_plane_plays_as_each_of_its_points_alone(place):
    plane = place.planes[0]
    surface = place.surface("return", size=3, n_episodes=3)
    points = plane.points(3)
    alone = evaluate_learners(
        place.shape.dataset, 9, 3, True, teach=lambda _: place.shape.learners(points), seed=0
    ).learner_means
    np.testing.assert_allclose(surface.values.ravel(), alone)


def test_losses_are_those_of_the_inner_loop(place):
    """At the taught point the distilled loss is the mean squared error of the policy on the set."""
    dataset = place.shape.dataset
    policy = DistilledPolicy.from_dataset(dataset, seed=0, device="cpu")
    with th.no_grad():
        error = (actor_of(policy)(dataset.observations) - dataset.labels).square().mean()
    assert place.losses(place.points["taught"][None], "mse")[0] == pytest.approx(float(error), rel=1e-4)
    assert np.isfinite(place.surface("surrogate", **FEW).values).all()
    profiled = place.surface("profiled", **FEW).values
    assert ((profiled >= 0) & (profiled <= 1)).all()


def test_one_gradient_step_goes_along_the_distilled_gradient(place):
    batch = place.batch
    slope = gradient(
        lambda vector: (place.shape.outputs(vector[None], batch.inputs)[0] - batch.labels).square().mean(),
        place.points["initial"],
    )
    assert cosine(-slope, place.points["taught"] - place.points["initial"]) == pytest.approx(1, abs=1e-4)


def test_the_gradient_of_the_surrogate_is_the_policy_gradient(place):
    """At the policy that acted it is that of -A log p, whatever the clipping."""
    start, experience = place.points["initial"], place.experience
    surrogate = gradient(lambda vector: place.arena.surrogate(vector[None], experience)[0], start)

    def plain(vector):
        log_prob = place.arena.log_prob(vector[None], experience.inputs, experience.actions)[0]
        return -(experience.advantages * log_prob).mean()

    assert cosine(surrogate, gradient(plain, start)) == pytest.approx(1, abs=1e-4)


def test_rays_and_barriers(place):
    ray = place.ray((0.0, 0.5, 1.0), n_episodes=4)
    assert ray.returns.shape == (3, 4)
    assert 0 <= ray.alpha_star <= 1 and ray.plateau[1] == 1
    assert list(ray.losses) == ["mse", "profiled"]
    line = place.barrier("taught", "RL", n_points=5, n_episodes=4)
    assert line.returns.shape == (5, 4) and line.height >= 0
    assert place.barrier("taught", "taught", n_points=3, n_episodes=4).height < 0.2
    matched = place.barrier("taught", "other taught", True, 3, 4)
    assert json.dumps([ray.summary(), matched.summary()], allow_nan=False)


def test_matched_networks_compute_what_they_did(place):
    other = place.points["other taught"]
    matched = place.matched(place.points["taught"], other)
    with th.no_grad():
        before, after = place.shape.outputs(th.stack([other, matched]), place.batch.inputs)
    np.testing.assert_allclose(before, after, atol=1e-4)
    assert float((matched - place.points["taught"]).norm()) < float((other - place.points["taught"]).norm())


@pytest.mark.parametrize("directions", ["random", "pca", "hessian", "fisher"])
def test_directions(place, directions):
    found = place.planes_along(directions, 2)
    assert 1 <= len(found) <= 2 and all(isinstance(plane, Plane) for plane in found)
    assert np.isfinite(place.surface("mse", found[0], 3).values).all()
    assert float(found[0].u.norm()) > 0 and float(found[0].v.norm()) > 0


def test_the_spectrum(place):
    spectrum = place.spectrum(4)
    assert (np.diff(spectrum.hessian) <= 0).all() and (np.diff(spectrum.fisher) <= 0).all()
    assert 0 < spectrum.share <= 1 and 0 <= spectrum.overlap <= 1
    assert spectrum.rank <= place.shape.dataset.labels.numel()
    assert "Fisher share" in repr(spectrum)


def test_points_that_diverged_are_masked_and_counted(place):
    start = place.points["initial"]
    plane = Plane("far", start, th.full_like(start, 3e38), place.points["RL"] - start)
    for objective in ("return", "mse"):
        surface = place.surface(objective, plane, **FEW)
        assert surface.n_diverged >= 3
        assert np.isfinite(surface.values[:, 1]).all()
        assert None in np.array(surface.summary()["values"], dtype=object)
        assert np.isfinite(surface.best).all()


@pytest.mark.slow
def test_a_report_of_several_seeds_with_controls(tmp_path):
    arguments = dict(rl=4_000, n_planes=2, n_controls=2, rl_settings=SETTINGS, folder=tmp_path, name="simplex", **FEW)
    report = landscape_report(simplex_dataset(2, 10.0), n_seeds=2, **arguments)
    assert set(report.names) == set(TITLES)
    assert set(report.controls("gradient cosine")) == {
        "shuffled labels", "random labels", "labels x 10", "real states", "untrained X"
    }  # fmt: skip
    assert report.estimate("fisher share").value > 10 * report.estimate("fisher share", "random rows").value
    summary = json.loads(json.dumps(report.summary(), allow_nan=False))
    assert LandscapeReport.from_summary(summary).summary() == summary
    assert {report.says_something(name) for name in ("fisher share", "path cosine")} <= {True, False}
    assert report.says_something("return RL greedy") is None
    columns, rows = report.table()
    assert len(rows) == len(report.names) and all(len(row) == len(columns) for row in rows)
    kept = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(kept) == 4
    again = landscape_report(simplex_dataset(2, 10.0), n_seeds=3, **arguments)
    assert [str(again.figures[0][name]) for name in TITLES] == [str(report.figures[0][name]) for name in TITLES]
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in kept} == kept


def test_alpha_star_is_a_matter_of_the_scale_of_labels(place):
    """The trap: labels ten times as large and a rate ten times as small teach the same, and move the minimum tenfold."""
    report = place.compare(size=3, n_episodes=2, n_planes=1, n_controls=1)
    star = report.figures[0]["alpha*"]
    assert star.controls["labels x 10"] == pytest.approx(10 * star.value, rel=0.3) or star.controls["labels x 10"] == 3


def test_without_rl_what_needs_it_is_left_out():
    report = landscape_report(simplex_dataset(1, 10.0), None, 1, 3, 2, 1, 0)
    assert "fisher share" in report.names and "path cosine" not in report.names
    assert report.says_something("fisher share") is None


def test_continuous_actions_have_no_scale_free_loss():
    env = ReachEnv()
    place = Landscape.around(random_dataset(env.observation_space, env.action_space), env=ReachEnv, directions="random")
    assert place.losses_of_the_set == ["mse"]
    assert np.isfinite(place.compare(size=3, n_episodes=2, n_planes=1, n_controls=2).estimate("gradient cosine").value)
    with pytest.raises(ArgumentError, match="the labels of Box actions are actions, whose scale matters: use 'mse'"):
        place.surface("profiled")


def test_a_model_of_the_user(place):
    few = dict(n_steps=8, batch_size=16, device="cpu")
    model = PPO("MlpPolicy", make_vec_env("NDCartPole2D-v0", 2), seed=0, **few)
    other = Landscape.around(simplex_dataset(2, 10.0), rl=model)
    assert "RL" in other.points
    with pytest.raises(ArgumentError, match="principal components need the path of a training"):
        other.planes_along("pca")
    with pytest.raises(MisfitError, match=r"the RL-trained model has the observation space .* was made for"):
        Landscape.around(simplex_dataset(1, 10.0), rl=model)
    narrow = PPO("MlpPolicy", make_vec_env("NDCartPole2D-v0", 2), policy_kwargs=dict(net_arch=[8]), **few)
    with pytest.raises(MisfitError, match="has other layers .*: train one of the same policy and `policy_kwargs`"):
        Landscape.around(simplex_dataset(2, 10.0), rl=narrow)
    with th.no_grad():
        model.policy.action_net.weight.fill_(float("nan"))
    with pytest.raises(NotFiniteError, match="NaN or infinite: its training diverged"):
        Landscape.around(simplex_dataset(2, 10.0), rl=model)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda place: place.surface(size=2), "`size` of a plane must be at least 3 and whole, got 2"),
        (lambda place: place.surface("height"), "unknown objective 'height'; known are return"),
        (lambda place: place.barrier("taught", "Bob"), "there is no network 'Bob' in this landscape; there are initial"),
        (lambda place: place.barrier(n_points=2), "`n_points` must be at least 3, got 2"),
        (lambda place: place.spectrum(at="Bob"), "there is no network 'Bob'"),
        (lambda place: place.ray([1.0]), "`alphas` must be at least two places along the step, got 1"),
        (lambda place: place.planes_along("up"), "unknown `directions` 'up'; known are step-rl"),
        (lambda place: place.planes_along("random", 0), "`n_planes` must be at least 1 and whole, got 0"),
        (lambda place: Landscape.around("CartPole-v1"), "the directions 'step-rl' need an RL-trained network"),
        (lambda place: Landscape.around("CartPole-v1", rl=0), "the RL training must have at least 1 timestep, got 0"),
        (lambda place: landscape_report("CartPole-v1", n_seeds=0), "`n_seeds` must be at least 1, got 0"),
        (lambda place: landscape_report("CartPole-v1", n_controls=-1), "`n_controls` must be at least 0, got -1"),
        (lambda place: LandscapeReport.joined([]), "reports are joined that measured the same set in the same way"),
    ],
)
def test_bad_input(place, call, message):
    with pytest.raises(ArgumentError, match=message):
        call(place)


def test_a_set_whose_learners_are_all_encoder():
    from sb3_distill import PPMO

    arguments = dict(n_steps=8, batch_size=32, seed=0, policy_kwargs=dict(net_arch=[8]))
    dataset = PPMO("MlpPolicy", make_vec_env("NDCartPole2D-v0", 4), encoder_layers=2, **arguments).dataset
    with pytest.raises(UnsupportedError, match="holds all 2 layers of its learners: nothing is taught"):
        Landscape.around(dataset, directions="random")
    half = PPMO("MlpPolicy", make_vec_env("NDCartPole2D-v0", 4), encoder_layers=1, **arguments).dataset
    place = Landscape.around(half, rl=300, rl_settings=SETTINGS)
    assert place.shape.layout.n_numbers == 8 * 4 + 4
    assert place.surface(**FEW).n_diverged == 0


def test_networks_that_landscapes_do_not_take():
    both = spaces.Dict({"a": spaces.Box(-1, 1, (2,)), "b": spaces.Box(-1, 1, (3,))})
    with pytest.raises(UnsupportedError, match="observations that are one tensor, this set has a dict of them"):
        Landscape.around(random_dataset(both, spaces.Discrete(2)), directions="random")
    env = ReachEnv()
    arguments = dict(env=ReachEnv, directions="random", policy="MlpPolicy", policy_kwargs=dict(use_sde=True))
    noisy = Landscape.around(random_dataset(env.observation_space, env.action_space), **arguments)
    with pytest.raises(UnsupportedError, match="policy gradients of gSDE are not drawn"):
        noisy.surface("surrogate", **FEW)
    image = ImageEnv()
    seen = Landscape.around(random_dataset(image.observation_space, image.action_space), env=ImageEnv, directions="random")
    assert np.isfinite(seen.surface("mse", **FEW).values).all()
    with pytest.raises(UnsupportedError, match="units are matched in perceptrons"):
        seen.matched(seen.points["taught"], seen.points["other taught"])


def test_normalised_observations_stay_as_the_set_has_them():
    dataset = SyntheticDataset.load("NDCartPole1D-v0/wide-sgd")
    place = Landscape.around(dataset, rl=2_048, rl_settings=SETTINGS)
    assert place.arena.returns(place.points["taught"][None], 4).mean() > 400
