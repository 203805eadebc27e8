"""Give tests a display on a machine that has none.

``python tools/display.py``         get Xvfb and the libraries of GL and Qt, or say what is missing
``python tools/display.py -- CMD``  the same, then run CMD in the display there is, or a virtual one
``... -- NAME=VALUE ... CMD``       the same with these variables in CMD's environment

Only Linux needs this; elsewhere CMD is run as it is. Where apt-get works without asking for a
password the missing Debian packages are installed, otherwise one line names them.
"""

from __future__ import annotations

import ctypes
import glob
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# What proves that a Debian package is there: a library that loads, or a file. All that the wheels
# of PyQt6 and of PySide6 do not bring themselves.
LIBRARIES = {
    "libgl1": "libGL.so.1",
    "libegl1": "libEGL.so.1",
    "libglx-mesa0": "libGLX_mesa.so.0",
    "libx11-xcb1": "libX11-xcb.so.1",
    "libxkbcommon-x11-0": "libxkbcommon-x11.so.0",
    "libxcb-cursor0": "libxcb-cursor.so.0",
    "libxcb-icccm4": "libxcb-icccm.so.4",
    "libxcb-image0": "libxcb-image.so.0",
    "libxcb-keysyms1": "libxcb-keysyms.so.1",
    "libxcb-randr0": "libxcb-randr.so.0",
    "libxcb-render-util0": "libxcb-render-util.so.0",
    "libxcb-render0": "libxcb-render.so.0",
    "libxcb-shape0": "libxcb-shape.so.0",
    "libxcb-shm0": "libxcb-shm.so.0",
    "libxcb-sync1": "libxcb-sync.so.1",
    "libxcb-xfixes0": "libxcb-xfixes.so.0",
    "libxcb-xinerama0": "libxcb-xinerama.so.0",
    "libxcb-xkb1": "libxcb-xkb.so.1",
    "libgssapi-krb5-2": "libgssapi_krb5.so.2",
    "libdbus-1-3": "libdbus-1.so.3",
    "libglib2.0-0": "libglib-2.0.so.0",
    "libfontconfig1": "libfontconfig.so.1",
}
# The software renderer has no fixed name: a driver of its own, or part of Mesa's one library.
RENDERERS = (
    "/usr/lib*/dri/swrast_dri.so",
    "/usr/lib/*/dri/swrast_dri.so",
    "/usr/lib*/libgallium-*.so",
    "/usr/lib/*/libgallium-*.so",
)


def missing() -> list[str]:
    """Debian names of the packages that this machine lacks."""
    packages = [] if shutil.which("Xvfb") else ["xvfb"]
    for package, library in LIBRARIES.items():
        try:
            ctypes.CDLL(library)
        except OSError:
            packages.append(package)
    if not any(glob.glob(pattern) for pattern in RENDERERS):
        packages.append("libgl1-mesa-dri")
    return packages


def ensure() -> None:
    """Install what is missing, or exit with the one line that says what to install."""
    packages = missing()
    if not packages:
        return
    install = f"apt-get install -y --no-install-recommends {' '.join(packages)}"
    apt = _apt()
    if apt is None:
        sys.exit(
            f"no display: these system packages are missing; install them with: sudo {install}"
        )
    print(f"display: installing {' '.join(packages)}", flush=True)
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    # A package index that cannot be refreshed may still be good enough for the install.
    subprocess.run([*apt, "update", "-qq"], env=environment, check=False)
    arguments = [*apt, "install", "-y", "-qq", "--no-install-recommends", *packages]
    done = subprocess.run(arguments, env=environment, stdout=subprocess.DEVNULL, check=False)
    if done.returncode or (packages := missing()):
        sys.exit(f"no display: {install} failed; still missing: {' '.join(packages)}")


def _apt() -> list[str] | None:
    """Return the command that installs without asking for a password, if there is one."""
    if shutil.which("apt-get") is None:
        return None
    if os.geteuid() == 0:
        return ["apt-get"]
    if (
        shutil.which("sudo")
        and not subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode
    ):
        return ["sudo", "-n", "apt-get"]
    return None


@contextmanager
def display(size: str = "1366x768x24") -> Iterator[dict[str, str]]:
    """Environment variables of a virtual display that lives as long as the context."""
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", size, "-nolisten", "tcp"],
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    try:
        with os.fdopen(read) as answer:  # Xvfb picks a free number and says which
            number = answer.readline().strip()
        if not number:
            sys.exit("no display: Xvfb ended before it was ready; run `Xvfb :99` to see why")
        yield {"DISPLAY": f":{number}", "QT_QPA_PLATFORM": "xcb", "LIBGL_ALWAYS_SOFTWARE": "1"}
    finally:
        server.terminate()
        server.wait()


def main(arguments: list[str]) -> int:
    """Return the exit code of the command that follows ``--``."""
    if arguments and arguments[0] != "--":
        sys.exit(__doc__)
    command = arguments[1:]
    environment = dict(os.environ)
    while command and "=" in command[0]:
        name, value = command.pop(0).split("=", 1)
        environment[name] = value
    if sys.platform == "linux":
        ensure()
    if not command:
        return 0
    if sys.platform != "linux" or os.environ.get("DISPLAY"):
        return subprocess.run(command, env=environment, check=False).returncode
    with display() as variables:
        return subprocess.run(command, env=environment | variables, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
