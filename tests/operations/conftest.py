"""A small scene, and the shell in this process."""

from __future__ import annotations

from pathlib import Path

import pytest
from shell import Done, Shell
from small_scene import Scene, make_scene

from napari_ouroboros import cli


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """The scene; write into it only with `changed` and `with_points`, and names of your own."""
    return make_scene(tmp_path_factory.mktemp("scene"))


@pytest.fixture
def own_scene(tmp_path: Path) -> Scene:
    """The same in a folder of the test's own, to be spoiled."""
    return make_scene(tmp_path / "scene")


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Shell:
    """``shell("info", path)`` -> `Done`; in this process."""

    def run(*words: object) -> Done:
        capsys.readouterr()
        try:
            code = cli.main([str(word) for word in words])
        except SystemExit as stop:  # as argparse stops
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return Done(code, out, err)

    return run
