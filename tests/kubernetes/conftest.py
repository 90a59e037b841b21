"""API servers on the certificates of each profile."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from tests.kubernetes.api_server import ApiServer, api_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.clusters import Pki

SERVING = {
    "course": ("kube-apiserver", "ca"),
    "hardway": ("kube-apiserver", "ca"),
    "kubeadm": ("pki/apiserver", "pki/ca"),
}
"""The API server's certificate and its clients' CA, without the ending."""


@pytest.fixture
def api(pki: Callable[[str, str], Pki]) -> Iterator[Callable[[str, str], ApiServer]]:
    """``api("kubeadm", "large")``: the API server of a cluster, while the test runs."""
    with contextlib.ExitStack() as running:

        def started(profile: str, size: str = "small") -> ApiServer:
            folder, (crt, ca) = pki(profile, size).folder, SERVING[profile]
            return running.enter_context(api_server(folder / f"{crt}.crt", folder / f"{crt}.key", folder / f"{ca}.crt"))

        yield started
