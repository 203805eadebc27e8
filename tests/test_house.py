"""The rules of the house that a machine can check."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import entry_points, packages_distributions, version
from pathlib import Path

import pytest

import napari_ouroboros
from napari_ouroboros import errors

SOURCE = Path(napari_ouroboros.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))

# Each room may import from itself and from the rooms listed.
MAY_IMPORT = {
    "errors": set(),
    "geometry": {"errors"},
    "volumes": {"errors", "geometry"},
    "neuroglancer": {"errors", "geometry", "volumes"},
    "operations": {"errors", "geometry", "volumes", "neuroglancer"},
    "cli": {"errors", "geometry", "volumes", "neuroglancer", "operations"},
    "session": {"errors", "geometry", "volumes"},
    "layers": {"errors", "geometry", "volumes"},
    "reader": {"errors", "geometry", "volumes", "neuroglancer", "operations", "layers"},
    "writer": {"errors", "geometry", "volumes", "neuroglancer", "operations"},
    "sample_data": {"layers", "widgets"},
    "widgets": {
        *("errors", "geometry", "volumes", "neuroglancer", "operations", "layers", "reader"),
        "session",
    },
}
WINDOW = {"qtpy", "napari", "magicgui", "superqt", "PyQt5", "PyQt6", "PySide6", "vispy"}
HEAVY = {
    *("cloudvolume", "cloudfiles", "tensorstore", "dask", "numba", "tifffile", "imagecodecs"),
    *("matplotlib", "scipy", "numpy", *WINDOW),
}


def room_of(file: Path) -> str:
    """First folder below the package, or the name of a module that lies there itself."""
    first = file.relative_to(SOURCE).parts[0]
    return first.removesuffix(".py")


def imports_of(file: Path) -> Iterator[tuple[int, str]]:
    """Line and absolute name of every import of a file, also those inside functions."""
    package = ("napari_ouroboros", *file.relative_to(SOURCE).parts[:-1])
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) + 1 - node.level]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            yield node.lineno, module
            if module == "napari_ouroboros":
                for alias in node.names:
                    yield node.lineno, f"{module}.{alias.name}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_dependencies_point_one_way(file: Path) -> None:
    room = room_of(file)
    if room == "__init__":
        return
    assert room in MAY_IMPORT, f"{room} is a new room: say what it may import, in MAY_IMPORT"
    wrong = []
    for line, name in imports_of(file):
        parts = name.split(".")
        if parts[0] in WINDOW and room != "widgets":
            wrong.append(f"line {line}: {name}")
        if parts[0] == "napari_ouroboros" and len(parts) > 1 and parts[1] != "__version__":
            # A name taken from the package itself has the room that it is re-exported from.
            home = napari_ouroboros._HOME.get(parts[1], f"napari_ouroboros.{parts[1]}")
            if home.split(".")[1] not in {room, *MAY_IMPORT[room]}:
                wrong.append(f"line {line}: {name}")
    assert not wrong


def test_what_is_imported_is_declared(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    requirements = [*project["dependencies"], *extras["neuroglancer"], *extras["napari"]]
    declared = {re.split(r"[\[<>=!~ ;]", text)[0].lower() for text in requirements}
    distributions = packages_distributions()
    undeclared = set()
    for file in FILES:
        for _, name in imports_of(file):
            top = name.split(".")[0]
            if top in sys.stdlib_module_names or top == "napari_ouroboros":
                continue
            owners = {owner.lower().replace("_", "-") for owner in distributions.get(top, [top])}
            # cloud-files is the file layer of cloud-volume, and comes with it.
            if not owners & (declared | {"cloud-files"}):
                undeclared.add(f"{file.relative_to(SOURCE)}: {top}")
    assert not undeclared


def test_no_silent_except() -> None:
    mute = []
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ExceptHandler):
                broad = node.type is None or (
                    isinstance(node.type, ast.Name)
                    and node.type.id in ("Exception", "BaseException")
                )
                if broad and all(isinstance(step, ast.Pass) for step in node.body):
                    mute.append(f"{file.relative_to(SOURCE)}:{node.lineno}")
    assert not mute


@pytest.mark.parametrize("name", napari_ouroboros.__all__)
def test_public_name_resolves(name: str) -> None:
    value = getattr(napari_ouroboros, name)
    assert name == "__version__" or value.__doc__, f"{name} has no docstring"


def test_public_names_are_those_of_their_rooms() -> None:
    assert dir(napari_ouroboros) == sorted(napari_ouroboros.__all__)
    assert set(napari_ouroboros._HOME) == set(napari_ouroboros.__all__) - {"__version__"}
    with pytest.raises(AttributeError, match="no attribute 'straigthen'"):
        _ = napari_ouroboros.straigthen


def test_import_loads_nothing_heavy() -> None:
    code = "import sys, napari_ouroboros; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) & HEAVY == set()


@pytest.mark.parametrize(
    ("kind", "exit_code", "builtin"),
    [
        (errors.UserError, 2, ValueError),
        (errors.SourceError, 1, OSError),
        (errors.DestinationError, 1, OSError),
        (errors.Cancelled, 1, Exception),
    ],
)
def test_errors_carry_exit_codes(
    kind: type[errors.OuroborosError], exit_code: int, builtin: type[Exception]
) -> None:
    error = kind("what is wrong")
    assert isinstance(error, errors.OuroborosError)
    assert isinstance(error, builtin)
    assert error.exit_code == exit_code
    assert str(error) == "what is wrong"


def test_every_error_class_has_an_exit_code() -> None:
    def below(kind: type) -> Iterator[type]:
        for child in kind.__subclasses__():
            yield child
            yield from below(child)

    for file in FILES:
        name = ".".join(file.relative_to(SOURCE.parent).with_suffix("").parts)
        if not name.startswith("napari_ouroboros.widgets"):
            importlib.import_module(name.removesuffix(".__init__"))
    codes = {kind.__name__: kind.exit_code for kind in below(errors.OuroborosError)}
    assert set(codes.values()) <= {1, 2}, codes


def test_version_is_the_installed_one() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+)?", napari_ouroboros.__version__)
    assert version("napari-ouroboros") == napari_ouroboros.__version__


def test_changelog_knows_the_version_or_what_comes(repository: Path) -> None:
    headings = re.findall(r"^## \[(.+?)\]", (repository / "CHANGELOG.md").read_text(), re.M)
    assert headings[0] in ("Unreleased", napari_ouroboros.__version__)


def code_blocks(text: str, language: str) -> list[str]:
    """Contents of the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


def test_ci_runs_the_test_command_of_the_readme(repository: Path) -> None:
    lines = [
        line
        for line in (repository / ".ci" / "run").read_text().splitlines()
        if line and not line.startswith(("#", "set ", "cd "))
    ]
    assert len(lines) == 1
    blocks = code_blocks((repository / "README.md").read_text(), "sh")
    assert any(lines[0] in block.splitlines() for block in blocks)


def test_commands_of_the_documents_exist(repository: Path) -> None:
    scripts = entry_points(group="console_scripts", name="napari-ouroboros")
    (main,) = {script.value for script in scripts}
    assert main == "napari_ouroboros.cli:main"
    known = subprocess.run(
        [sys.executable, "-m", "napari_ouroboros.cli", "--help"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    pages = [repository / "README.md", *sorted((repository / "docs").rglob("*.md"))]
    used: dict[str, set[str]] = {}
    for page in pages:
        for block in code_blocks(page.read_text(), "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                match = re.search(r"napari-ouroboros +([a-z]+)(.*)", line)
                if match:
                    options = set(re.findall(r" (--[a-z-]+)", match[2].split("#")[0]))
                    used.setdefault(match[1], set()).update(options)
    assert "demo" in used
    for command, options in used.items():
        assert re.search(rf"\b{command}\b", known), f"no such command: {command}"
        text = subprocess.run(
            [sys.executable, "-m", "napari_ouroboros.cli", command, "--help"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        missing = {option for option in options if not re.search(rf"{option}\b", text)}
        assert not missing, f"{command} has no {sorted(missing)}"


def test_links_of_the_documents_lead_somewhere(repository: Path) -> None:
    pages = [repository / "README.md", *sorted((repository / "docs").rglob("*.md"))]
    broken = [
        f"{page.relative_to(repository)}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text())
        if not re.match(r"[a-z]+:", target) and not (page.parent / target).exists()
    ]
    assert not broken
