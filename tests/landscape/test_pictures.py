"""Pictures of landscapes."""

import pytest
from helpers import simplex_dataset

from sb3_distill import Landscape
from sb3_distill.cli import program as cli

pytest.importorskip("matplotlib")
from sb3_distill.landscape.pictures import draw_barriers, draw_ray, draw_report, draw_surface, two_by_two


@pytest.fixture(scope="module")
def place():
    return Landscape.around(simplex_dataset(2, 10.0), 0, 4_000, rl_settings=dict(n_steps=32, batch_size=256, n_epochs=1))


def test_both_objectives_around_both_networks_have_one_scale_each(place, tmp_path):
    figure = two_by_two(place, 3, 2, path=tmp_path / "x.png")
    drawn = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in drawn].count("around RL") == 3
    assert [axes.get_title() for axes in drawn].count("around taught") == 3
    scales = {}
    for axes in drawn:
        contour = axes.collections[0]
        scales.setdefault(axes.get_subplotspec().colspan.start, set()).add(contour.get_clim())
    assert all(len(limits) == 1 for limits in scales.values())
    assert (tmp_path / "x.png").stat().st_size > 10_000


def test_lines_and_figures(place):
    assert draw_surface(place.surface(size=3, n_episodes=2)).axes
    assert len(draw_ray(place.ray((0.0, 1.0), 2)).axes) == 2
    assert "barrier" in draw_barriers([place.barrier(n_points=3, n_episodes=2)]).axes[0].get_legend().get_title().get_text()
    report = place.compare(size=3, n_episodes=2, n_planes=1, n_controls=1)
    assert "1 seeds" in draw_report(report).axes[0].get_title()


@pytest.mark.slow
def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    simplex_dataset(2, 10.0).save("set.safetensors")
    few = ["--size", "3", "--episodes", "2", "--planes", "1", "--seeds", "1"]
    assert cli.main(["landscape", "set.safetensors", "--rl-timesteps", "9000", "--controls", "--folder", "kept", *few]) == 0
    out = capsys.readouterr().out
    assert "share of the Fisher trace" in out and "random rows" in out and "picture: set-landscape.png" in out
    assert (tmp_path / "set-landscape.png").exists() and len(list((tmp_path / "kept").iterdir())) == 2
    assert cli.main(["landscape", "set.safetensors", "--json", *few]) == 0
    assert '"picture": null' in capsys.readouterr().out
    for arguments, message in (
        (["--size", "2"], "`size` of a plane must be at least 3 and whole, got 2"),
        (["--directions", "pca"], "the directions 'pca' need an RL-trained network"),
    ):
        assert cli.main(["landscape", "set.safetensors", "--json", *few, *arguments]) == 1
        assert message in capsys.readouterr().err
