"""Ctrl-C, SIGTERM and SIGKILL in the midst of a real process; credentials are never shown."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from local_server import LocalServer
from shell import Shell, command, environment, run_process, tree
from small_scene import Scene

from napari_ouroboros import Straightening, Trace

Serve = Callable[..., LocalServer]
SIZE = ("--width", 20, "--height", 18)
# Until the message, and from there to the end. A machine that does nothing else takes some tenths
# of a second each; who does not listen waits a minute for a silent server, or ends with success.
MOST_SECONDS = 8.0
MOST_SECONDS_TO_END = 15.0


def stop(words: tuple[object, ...], when: Callable[[], bool], number: int) -> tuple[int, str]:
    """Start a process, send a signal once `when` is true; its exit code and stderr."""
    process = subprocess.Popen(
        command(*words), env=environment(), text=True, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        give_up = time.monotonic() + 60
        while not when():
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < give_up
            time.sleep(0.01)
        sent = time.monotonic()
        process.send_signal(number)
        line = process.stderr.readline()
        assert time.monotonic() - sent < MOST_SECONDS
        rest = process.stderr.read()
        code = process.wait(MOST_SECONDS_TO_END)
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
    return code, line + rest


@pytest.fixture
def slow(own_scene: Scene, http_server: Serve) -> tuple[Path, LocalServer]:
    """A state whose image comes from a server that takes its time, and the server."""
    server = http_server(own_scene.folder, latency=0.4)
    url = f"precomputed://{server.url}/em"
    return own_scene.changed("slow.json", lambda s: s["layers"][0].update(source=url)), server


def fetching(server: LocalServer) -> Callable[[], bool]:
    return lambda: any(path.startswith("em/mip0/") for path in server.requests)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("out", ["nerve.tif", "nerve"])
def test_straighten_stops_at_once(
    slow: tuple[Path, LocalServer], tmp_path: Path, out: str, number: int
) -> None:
    state, server = slow
    folder = tmp_path / "results"
    folder.mkdir()
    words = ("straighten", state, "--image-layer", "em", *SIZE, "-o", folder / out)
    code, said = stop(words, fetching(server), number)
    assert (code, said.count("\n")) == (130, 1), said
    assert "stopped; nothing unfinished was left" in said
    assert tree(folder) == {}


@pytest.mark.parametrize("words", ["check", "straighten"])
def test_a_silent_source_does_not_hold_us(
    slow: tuple[Path, LocalServer], tmp_path: Path, words: str
) -> None:
    state, server = slow
    server.fault("em/mip0/*", "silent")
    out = ("-o", tmp_path / "nerve.tif") if words == "straighten" else ()
    everything = (words, state, "--image-layer", "em", *SIZE, *out)
    code, said = stop(everything, fetching(server), signal.SIGINT)
    assert (code, said.count("\n")) == (130, 1), said
    assert not [path for path in tmp_path.iterdir() if "nerve" in path.name]


@pytest.fixture
def long_job(tmp_path: Path) -> tuple[object, ...]:
    """A backprojection of some seconds; what it writes first comes soon."""
    map_ = Straightening(
        Trace([[1000, 2000, 2000], [30000, 4000, 3000], [60000, 3000, 3500]]), 200, 200, 10, 10
    )
    level = {
        "shape": [6200, 600, 600], "resolution": [10, 10, 10], "voxel_offset": [0, 0, 0],
        "chunk": [64, 64, 64], "key": "k", "encoding": "raw",
    }  # fmt: skip
    source = {"url": "precomputed://file:///none", "mip": 0, "levels": [level]}
    map_.save(tmp_path / "long.recipe.json", source)
    labels = np.lib.format.open_memmap(tmp_path / "long.npy", "w+", np.uint32, map_.shape)
    labels[:60] = 7  # the rest of the file is a hole
    del labels
    words = ("backproject", tmp_path / "long.npy", "--recipe", tmp_path / "long.recipe.json")
    return (*words, "-o", tmp_path / "home", "--conflicts", tmp_path / "conflicts")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_backproject_leaves_nothing_that_looks_finished(
    long_job: tuple[object, ...], tmp_path: Path, number: int
) -> None:
    before = sorted(path.name for path in tmp_path.iterdir())

    def writing() -> bool:
        return any(path.is_file() for path in tmp_path.glob(".home.incomplete/k/*"))

    code, said = stop(long_job, writing, number)
    left = sorted({path.name for path in tmp_path.iterdir()} - set(before))
    if number == signal.SIGINT:
        assert (code, said.count("\n"), left) == (130, 1, []), said
    else:
        assert left == [".conflicts.incomplete", ".home.incomplete"]
        assert not list(tmp_path.glob(".*.incomplete/info"))
        assert run_process(*long_job, "--dry-run").code == 0  # and it can be begun again


def test_a_killed_run_can_be_repeated(slow: tuple[Path, LocalServer], tmp_path: Path) -> None:
    state, server = slow
    folder = tmp_path / "results"
    folder.mkdir()
    words = ("straighten", state, "--image-layer", "em", *SIZE, "-o", folder / "nerve")
    stop(words, fetching(server), signal.SIGKILL)
    assert all(path.name.startswith(".nerve") for path in folder.iterdir())
    server.latency = 0
    assert run_process(*words).code == 0
    assert sorted(path.name for path in folder.iterdir()) == ["nerve", "nerve.recipe.json"]


# -- credentials ------------------------------------------------------------------------------


def test_credentials_are_nowhere(
    shell: Shell, own_scene: Scene, http_server: Serve, tmp_path: Path
) -> None:
    server = http_server(own_scene.folder)
    secret = f"{server.url.replace('//', '//user:s3cr3t@')}/em?signature=t0ken"
    spellings = [f"precomputed://{secret}", f"{secret}|neuroglancer-precomputed:"]
    for i, url in enumerate(spellings):

        def show(state: dict[str, Any], url: str = url) -> None:
            state["layers"][0]["source"] = url

        state = own_scene.changed(f"secret{i}.json", show)
        words = ("straighten", state, "--image-layer", "em", *SIZE)
        folder = tmp_path / f"results{i}"
        folder.mkdir()
        # A state as text, too: it becomes part of the command that results note.
        told = ("straighten", json.dumps(json.loads(state.read_text())), *words[2:])
        ends = [
            shell(*words, "-o", folder / "nerve.tif"),
            shell(*told, "-o", folder / "told.tif"),
            shell(*words, "-o", folder / "nerve2", "--json"),
            shell("check", state, "--image-layer", "em", *SIZE),
            shell("info", url),
            shell("info", state),
        ]
        assert [end.code for end in ends] == [0] * len(ends), ends
        server.fault("em/*", 403)
        ends += [shell(*words, "-o", folder / "no", *more) for more in ((), ("--debug",))]
        ends += [shell("info", url, "--debug"), shell("info", "x", url), shell(url)]
        assert all(end.code in (1, 2) for end in ends[6:])
        server.heal()
        for text in [f"{end.out}{end.err}" for end in ends]:
            assert "s3cr3t" not in text
            assert "t0ken" not in text
        for name, data in tree(folder).items():
            assert b"s3cr3t" not in (data or b""), name
            assert b"t0ken" not in (data or b""), name
        assert b"napari-ouroboros straighten" in (folder / "told.tif").read_bytes()
