"""A line that is not about certificates or access is never blamed on them."""

from __future__ import annotations

from pathlib import Path

import pytest

from kcert.diagnose import diagnose, explain
from tests.recorded import record

LINES = (Path(__file__).parent / "silent.log").read_bytes().splitlines(keepends=True)
RECORDED = Path(record.__file__).parent
SILENT = (
    *("etcd-healthy", "etcd-healthy-zap", "openssl-healthy"),
    *("etcdctl-refused", "etcdctl-plain-http-server", "etcdctl-without-certificate"),
    *("kubectl-connection-refused", "kubectl-http-to-https"),
)
"""Recorded logs of healthy programs, and of faults that leave no word about TLS."""


def test_there_are_enough_of_them() -> None:
    assert len(set(LINES)) >= 1200


def test_lines_about_something_else_stay_silent() -> None:
    spoken_of = [line for line in LINES if explain(line) is not None]
    assert spoken_of == []
    assert diagnose(LINES).findings == ()


@pytest.mark.parametrize("name", SILENT)
def test_a_recorded_log_without_such_a_fault_stays_silent(name: str) -> None:
    diagnosis = diagnose((RECORDED / f"{name}.log").read_bytes().splitlines(keepends=True))
    assert diagnosis.findings == ()
    assert diagnosis.read > 0


@pytest.mark.parametrize(
    "wrapped", ["{}", "Nov 24 04:19:45 node01 kubelet[12]: {}", '{{"log":"{}\\n","stream":"stderr"}}']
)
def test_so_it_does_however_it_is_wrapped(wrapped: str) -> None:
    for line in LINES:
        text = line.decode().rstrip("\n")
        inside = text.replace("\\", "\\\\").replace('"', '\\"') if "log" in wrapped else text
        assert explain(wrapped.format(inside).encode()) is None
