"""Pure functions of landscapes, against definitions, finite differences and other code."""

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from torch import nn

from sb3_distill.errors import NotFiniteError, UnsupportedError
from sb3_distill.landscape.figures.controls import random_labels, shuffled
from sb3_distill.landscape.maths import curvature, objectives, planes, scores
from sb3_distill.landscape.maths.layout import Layout
from sb3_distill.landscape.maths.matching import match_units
from sb3_distill.networks.anatomy import Network
from sb3_distill.networks.stacked import StackedNetwork, stack_parameters

GENERATOR = th.Generator()


@pytest.fixture(autouse=True)
def seeded():
    GENERATOR.manual_seed(0)


def network(activation=nn.Tanh, seed=0):
    with th.random.fork_rng():
        th.manual_seed(seed)
        hidden = nn.Sequential(nn.Linear(3, 6), activation(), nn.Linear(6, 5), activation())
        return Network(nn.Sequential(), hidden, nn.Linear(5, 2)).double()


@pytest.fixture
def small():
    """A small perceptron in double precision: its forward pass as a function of a vector, a vector, inputs and labels."""
    stacked, params = StackedNetwork(network()), stack_parameters([network()])
    layout = Layout.of(params)
    inputs = th.randn(7, 3, generator=GENERATOR, dtype=th.float64)
    labels = th.randn(7, 2, generator=GENERATOR, dtype=th.float64)

    def outputs(vector):
        return stacked.differentiable(layout.unflatten(vector[None]), inputs[None])[0]

    return outputs, layout.flatten(params)[0], labels, layout


def test_a_vector_is_the_parameters_and_back(small):
    _, point, _, layout = small
    both = th.stack([point, 2 * point])
    assert layout.n_numbers == point.numel() == 3 * 6 + 6 + 6 * 5 + 5 + 5 * 2 + 2
    np.testing.assert_array_equal(layout.flatten(layout.unflatten(both)), both)


def test_hessian_products_and_gradients_are_those_of_finite_differences(small):
    outputs, point, labels, _ = small

    def loss(vector):
        return objectives.mse(outputs(vector)[None], labels)[0]

    direction = th.randn(point.shape, generator=GENERATOR, dtype=th.float64)
    ahead, behind = (curvature.gradient(loss, point + step * direction) for step in (1e-5, -1e-5))
    product = curvature.hessian_product(loss, point)(direction)
    np.testing.assert_allclose(product, (ahead - behind) / 2e-5, rtol=1e-6, atol=1e-9)
    slope = (loss(point + 1e-6 * direction) - loss(point - 1e-6 * direction)) / 2e-6
    assert float(curvature.gradient(loss, point) @ direction) == pytest.approx(float(slope), rel=1e-6)
    whole = th.autograd.functional.hessian(loss, point)
    values, vectors = curvature.top_eigenvectors(curvature.hessian_product(loss, point), point, 4)
    np.testing.assert_allclose(values, th.linalg.eigvalsh(whole).flip(0)[:4], rtol=1e-3)
    np.testing.assert_allclose(whole @ vectors[0], values[0] * vectors[0], atol=1e-3 * values[0])


def test_products_agree_with_curvlinops(small):
    curvlinops = pytest.importorskip("curvlinops")
    _, point, labels, layout = small
    module = network()
    inputs = th.randn(7, 3, generator=GENERATOR, dtype=th.float64)
    stacked = StackedNetwork(module)

    def loss(vector):
        found = stacked.differentiable(layout.unflatten(vector[None]), inputs[None])
        return objectives.mse(found, labels)[0]

    named = dict(module.named_parameters())
    operator = curvlinops.HessianLinearOperator(
        module, nn.MSELoss(), [named[name] for name in layout.shapes], [(inputs, labels)]
    )
    direction = th.randn(point.shape, generator=GENERATOR, dtype=th.float64)
    np.testing.assert_allclose(curvature.hessian_product(loss, point)(direction), operator @ direction, rtol=1e-5, atol=1e-8)


def test_jacobians_are_those_of_finite_differences(small):
    outputs, point, _, _ = small
    direction = th.randn(point.shape, generator=GENERATOR, dtype=th.float64)
    moved = (outputs(point + 1e-6 * direction) - outputs(point - 1e-6 * direction)) / 2e-6
    np.testing.assert_allclose(curvature.jacobian(outputs, point) @ direction, moved.detach(), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    "space, width", [(spaces.Discrete(4), 4), (spaces.MultiDiscrete([2, 3]), 5), (spaces.MultiBinary(3), 3)]
)
def test_fisher_factors_are_the_curvature_of_the_divergence(space, width):
    """The Hessian of KL(p || q) with respect to the outputs of q, at q = p, is the Fisher information."""
    outputs = th.randn(1, width, generator=GENERATOR, dtype=th.float64)

    def divergence(other):
        if isinstance(space, spaces.MultiBinary):
            make = lambda logits: th.distributions.Bernoulli(logits=logits)  # noqa: E731
            return th.distributions.kl_divergence(make(outputs[0]), make(other)).sum()
        sizes = [width] if isinstance(space, spaces.Discrete) else space.nvec.tolist()
        pairs = zip(outputs[0].split(sizes), other.split(sizes), strict=True)
        return sum((one.softmax(0) * (one.log_softmax(0) - two.log_softmax(0))).sum() for one, two in pairs)

    factor = curvature.fisher_factors(outputs, space)[0]
    np.testing.assert_allclose(factor.T @ factor, th.autograd.functional.hessian(divergence, outputs[0]), atol=1e-9)


def test_fisher_information_of_a_gaussian_is_its_precision():
    factor = curvature.fisher_factors(th.zeros(2, 2), spaces.Box(-1, 1, (2,)), th.tensor([0.0, 1.0]))
    np.testing.assert_allclose(factor[1].T @ factor[1], np.diag([1.0, np.exp(-2.0)]), rtol=1e-6)


def test_curvature_that_is_not_there():
    with pytest.raises(UnsupportedError, match="no Fisher information of actions of a Text"):
        curvature.fisher_factors(th.zeros(1, 2), spaces.Text(3))
    with pytest.raises(NotFiniteError, match="the curvature is not finite here"):
        curvature.top_eigenvectors(lambda vector: vector * float("nan"), th.zeros(5), 2)


def test_shares_and_overlaps_of_subspaces():
    rows = th.diag(th.tensor([3.0, 2.0, 1.0, 0.0]))
    basis = curvature.span(th.tensor([[1.0, 0, 0, 0], [2.0, 0, 0, 0]]))
    assert len(basis) == 1
    assert curvature.share_in_span(rows, basis) == pytest.approx(9 / 14)
    assert curvature.overlap(basis, th.eye(4)[:2]) == pytest.approx(1)
    assert curvature.overlap(basis, th.eye(4)[2:]) == pytest.approx(0)


def test_right_vectors_are_those_of_a_singular_value_decomposition():
    rows = th.randn(4, 9, generator=GENERATOR)
    rows[3] = rows[0] - 2 * rows[1]
    values, vectors = curvature.right_vectors(rows)
    np.testing.assert_allclose(values, th.linalg.svdvals(rows.double())[:3], rtol=1e-6)
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(3), atol=1e-9)
    np.testing.assert_allclose((rows.double() @ vectors.T).norm(dim=0), values, rtol=1e-6)


def test_random_directions_have_the_norms_of_rows_and_leave_biases(small):
    _, point, _, layout = small
    direction = layout.unflatten(planes.random_direction(point, layout, GENERATOR)[None])
    for name, value in layout.unflatten(point[None]).items():
        if value.dim() == 3:
            np.testing.assert_allclose(direction[name].norm(dim=2), value.norm(dim=2), rtol=1e-6)
        else:
            assert not direction[name].any()


def test_the_plane_through_three_networks_holds_them():
    start, taught, trained = th.randn(3, 20, generator=GENERATOR, dtype=th.float64)
    plane = planes.plane_through("three", start, taught, trained)
    places = planes.markers_on(plane, {"start": start, "taught": taught, "trained": trained, "other": taught + trained})
    assert list(places) == ["start", "taught", "trained"]
    np.testing.assert_allclose(places["taught"], (1, 0), atol=1e-9)
    assert places["trained"][1] == pytest.approx(1)
    assert all(plane.a[0] <= a <= plane.a[1] and plane.b[0] <= b <= plane.b[1] for a, b in places.values())
    assert float(plane.u @ plane.v) == pytest.approx(0, abs=1e-9)
    a, b = plane.axes(5)
    np.testing.assert_allclose(plane.points(5)[7], start + a[2] * plane.u + b[1] * plane.v)


def test_principal_components_hold_a_path_that_lies_in_a_plane():
    basis = th.linalg.qr(th.randn(30, 2, generator=GENERATOR, dtype=th.float64))[0].mT
    path = th.randn(9, 2, generator=GENERATOR, dtype=th.float64).cumsum(0) @ basis
    (plane,) = planes.path_planes("path", path)
    assert plane.explained == pytest.approx(1)
    inside = plane.coordinates(path)
    assert (inside[:, 0] > plane.a[0]).all() and (inside[:, 1] < plane.b[1]).all()
    assert plane.distance(path[0]) < 1e-6
    np.testing.assert_allclose(plane.centre, path[-1])


def test_eigen_planes_take_vectors_in_pairs():
    found = planes.eigen_planes("hessian", th.zeros(6), th.eye(6)[:4], 2.0)
    assert [plane.name for plane in found] == ["hessian 1-2", "hessian 3-4"]
    np.testing.assert_array_equal(found[1].v, 2 * th.eye(6)[3])


def test_the_scale_free_loss_ignores_scale_and_offset_but_not_sign():
    labels = th.randn(4, 3, generator=GENERATOR)
    outputs = th.stack([labels, 7 * labels + 2, -labels, th.randn(4, 3, generator=GENERATOR)])
    values = objectives.profiled(outputs, labels)
    np.testing.assert_allclose(values[:3], [0, 0, 1], atol=1e-6)
    assert 0 < float(values[3]) <= 1
    assert float(objectives.mse(outputs, labels)[0]) == 0


@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
def test_the_loss_that_a_step_leaves_depends_on_no_scale(scale):
    """The least of |f0 + a D - c Y|^2 over the scale c at which a = 1 is best, found by search."""
    labels, change = th.randn(2, 4, 3, generator=GENERATOR, dtype=th.float64)
    change = change + labels
    left = objectives.loss_left(th.zeros(4, 3), change * scale, labels / scale)
    factor = change.square().sum() / (change * labels).sum()
    direct = (change - factor * labels).square().sum() / (factor * labels).square().sum()
    assert left == pytest.approx(float(direct))
    assert objectives.loss_left(th.zeros(4, 3), -labels, labels) == 1


def test_the_surrogate_is_ppos():
    old, new, advantages = th.randn(3, 50, generator=GENERATOR, dtype=th.float64)
    found = objectives.clipped_surrogate(th.stack([old, new]), old, advantages, 0.1)
    ratio = (new - old).exp()
    clipped = th.where(advantages > 0, ratio.clamp(max=1.1), ratio.clamp(min=0.9))
    np.testing.assert_allclose(found, [-advantages.mean(), -(clipped * advantages).mean()])


def test_rewards_to_go_end_with_the_episode_and_average_zero():
    alive = th.tensor([[1.0, 1.0], [1.0, 1.0], [1.0, 0.0]])
    advantages = objectives.rewards_to_go(th.ones(3, 2), alive, 0.5)
    np.testing.assert_allclose(advantages, [[0.125, -0.125], [0.25, -0.25], [0, 0]])


def test_figures_of_lines_and_planes():
    assert scores.barrier([10, 0, 20], 10) == pytest.approx(1.5)
    assert scores.barrier([10, 18, 20], 10) == 0
    returns, losses = np.array([[1.0, 5, 9], [3, np.nan, 7]]), np.array([[4.0, 2, 1], [np.nan, 0, 3]])
    assert scores.regret(returns, losses, 1.0) == 0
    assert scores.regret(returns, -losses, 1.0) == 1
    assert np.isnan(scores.regret(np.ones(3), np.arange(3.0), 1.0))
    assert scores.rank_correlation(np.arange(5.0), -np.arange(5.0)) == pytest.approx(1)
    assert np.isnan(scores.rank_correlation(np.ones(4), np.arange(4.0)))
    assert scores.plateau([0, 1, 2, 3], [0, 9.5, 10, 1]) == (1, 2)
    assert scores.largest_drop(np.array([[0.0, 1, 1], [0, 8, 1]])) == 8


@pytest.mark.parametrize("activation, odd", [(nn.Tanh, True), (nn.ReLU, False)])
def test_matched_units_compute_the_same_and_are_nearer(activation, odd):
    module, other = network(activation), stack_parameters([network(activation, seed=5)])
    stacked, params = StackedNetwork(module), stack_parameters([module])
    matched = match_units(params, other, stacked.mlp, odd)
    inputs = th.randn(1, 5, 3, generator=GENERATOR, dtype=th.float64)
    np.testing.assert_allclose(stacked.differentiable(matched, inputs), stacked.differentiable(other, inputs), atol=1e-12)
    distance = [sum((one[name] - params[name]).square().sum() for name in params) for one in (other, matched)]
    assert distance[1] < distance[0]


def test_matching_undoes_a_permutation_with_signs():
    """With one hidden layer the assignment is exact."""
    module = Network(nn.Sequential(), nn.Sequential(nn.Linear(3, 8), nn.Tanh()), nn.Linear(8, 2)).double()
    stacked, params = StackedNetwork(module), stack_parameters([module])
    order, signs = th.randperm(8, generator=GENERATOR), th.tensor([1.0, -1.0] * 4).double()
    first, last = stacked.mlp
    mixed = {
        first.weight: params[first.weight][:, order] * signs[:, None],
        first.bias: params[first.bias][:, order] * signs,
        last.weight: params[last.weight][..., order] * signs,
        last.bias: params[last.bias],
    }
    found = match_units(params, mixed, stacked.mlp, odd=True)
    for name, value in params.items():
        np.testing.assert_allclose(found[name], value, atol=1e-12)


def test_control_labels():
    batch = objectives.Batch(th.zeros(5, 2), th.randn(5, 3, generator=GENERATOR))
    moved = shuffled(batch, GENERATOR).labels
    assert not (moved == batch.labels).all(dim=1).any()
    np.testing.assert_array_equal(np.sort(moved, axis=0), np.sort(batch.labels, axis=0))
    labels = random_labels(objectives.Batch(th.zeros(500, 2), 7 * th.ones(500, 3)), GENERATOR).labels
    assert float(labels.square().mean().sqrt()) == pytest.approx(7, rel=0.1)
