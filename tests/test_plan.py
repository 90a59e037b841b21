"""`kcert plan`: a line a certificate, the rest when it is asked for, and a status for scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.refusals import assert_refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.clusters import Pki
    from tests.running import Kcert


def test_a_line_a_certificate_fits_eighty_columns(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own_pki("course")

    short, wide = kcert("plan"), kcert("plan", "--wide")

    assert short.lines[0].split() == ["state", "certificate", "expires", "days", "why"]
    assert max(map(len, short.lines)) <= 80
    assert [line.split()[:2] for line in short.lines] == [line.split()[:2] for line in wide.lines]
    assert "CN=kube-admin, O=system:masters" in wide.stdout
    assert kcert("plan", "-o", "wide").stdout == wide.stdout


def test_strict_tells_a_script_that_something_is_missing(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    folder = own_pki("course").folder
    whole = kcert("plan", "--strict")
    (folder / "admin.crt").unlink()

    lacking, told = kcert("plan", "--strict"), kcert("plan")

    assert (whole.status, lacking.status, told.status) == (0, 1, 0)
    assert lacking.stdout == told.stdout


def test_a_user_who_is_not_in_kcert_yaml_is_in_the_plan(own_pki: Callable[..., Pki], kcert: Kcert) -> None:
    own_pki("course")
    assert kcert("client", "bob", "-g", "dev", "-q").status == 0

    planned = kcert("plan")

    assert planned.lines[-1].split()[:2] == ["current", "bob"]


@pytest.mark.parametrize("command", ["plan", "all", "renew --all", "kubeconfig", "client bob"])
def test_a_folder_below_a_file_is_wrong_use(kcert: Kcert, command: str) -> None:
    (kcert.folder / "file").write_text("mine", encoding="utf-8")

    assert_refused(kcert(*command.split(), "--dir", "file/pki"), 2, "file")
