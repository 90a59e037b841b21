"""What tests are given: the program, folders, PKIs that are made once, and what else this machine has."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests import clusters, running
from tests.clusters import Pki
from tests.gojudge import GoJudge, build

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="session", autouse=True)
def signals() -> Iterator[None]:
    """Ctrl-C and a closed terminal are not ignored, even where nohup or a script's ``&`` started the tests."""
    interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
    hang_up = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGHUP, hang_up)


@pytest.fixture(scope="session", autouse=True)
def none_trusted() -> Iterator[None]:
    """No CA of this machine is trusted, which saves each openssl from reading them all."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in running.NONE_TRUSTED.items():
            patch.setenv(name, value)
        yield


@pytest.fixture
def kcert(tmp_path: Path) -> running.Kcert:
    """The kcert of this checkout, run in an empty folder with an environment of its own."""
    return running.Kcert(tmp_path)


@pytest.fixture(scope="session")
def program() -> Callable[..., str]:
    """``program("etcd")`` is the path of etcd; without it the test is skipped (or fails, see ``tests.running``)."""
    return running.program


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for what is made once in a test run, however many workers it has."""
    return clusters.shared_folder(tmp_path_factory)


@pytest.fixture(scope="session")
def go(shared: Path) -> GoJudge:
    """Return what Go, and so Kubernetes, makes of PEM and DER; compiled once in a test run."""
    return GoJudge(clusters.made_once(shared, "gojudge", build) / "gojudge")


@pytest.fixture(scope="session")
def pki(shared: Path) -> Callable[[str, str], Pki]:
    """``pki("course", "small")``: the PKI of a profile and a size, made once. It is for looking at only."""

    def made(profile: str, size: str = "small") -> Pki:
        home = clusters.made_once(shared, f"{profile}-{size}", lambda home: clusters.make_pki(home, profile, size))
        return Pki(home, profile, size)

    return made


@pytest.fixture
def own_pki(pki: Callable[[str, str], Pki], tmp_path: Path) -> Callable[..., Pki]:
    """``own_pki("course")``: a copy of a PKI in the folder where ``kcert`` runs, for a test that changes it."""

    def copied(profile: str = "course", size: str = "small") -> Pki:
        return pki(profile, size).copied_to(tmp_path)

    return copied
