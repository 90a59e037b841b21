"""`kcert inventory` and `kcert check` of many certificate files, against bash loops of openssl."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.measure import KCERT, CommandResult, Row, in_turn, progress, ratios, run
from tests.scan.made import CLIENT, SERVER, authority, certificate, name
from tests.zoo.issuing import Pair, kubeconfig, put

if TYPE_CHECKING:
    from collections.abc import Iterator

TITLE = "Looking: a folder of certificates, ECDSA P-256, all of one CA"
RUNS = 3
FEW, MANY = 1_000, 20_000
USERS, CROWD = 250, 1_000
"""Kubeconfigs, each with the CA inside."""

TEXT = 'for file in few/*.crt; do openssl x509 -in "$file" -noout -text; done > /dev/null'
VERIFY = 'for file in few/*.crt; do openssl verify -CAfile few/ca.crt "$file"; done > /dev/null'


def measure() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        progress(f"making {MANY:,} certificates")
        _make(folder)

        def inventory(where: str) -> CommandResult:
            return run([*KCERT, "inventory", where, "--format", "csv", "--output", f"{where}.csv"], folder)

        def check(where: str) -> CommandResult:
            return run([*KCERT, "check", where, "--format", "json"], folder)

        few, text, judged, verify = in_turn(
            RUNS,
            f"inventory and check of {FEW:,} files",
            lambda: inventory("few"),
            lambda: run(["bash", "-c", TEXT], folder),
            lambda: check("few"),
            lambda: run(["bash", "-c", VERIFY], folder),
        )
        many, all_judged = in_turn(
            RUNS,
            f"inventory and check of {MANY:,} files",
            lambda: inventory("many"),
            lambda: check("many"),
            warm_up=False,
        )
        users, crowd = in_turn(
            RUNS,
            f"inventory of {CROWD:,} kubeconfigs",
            lambda: inventory("users"),
            lambda: inventory("crowd"),
            warm_up=False,
        )
    yield Row(f"kcert inventory, {FEW:,} files", few.wall)
    yield Row("a bash loop of openssl x509 -text over the same", text.wall)
    yield Row("  kcert / bash", ratios(few.wall, text.wall), bound=0.02)
    yield Row(f"kcert check, {FEW:,} files", judged.wall)
    yield Row("  check / inventory", ratios(judged.wall, few.wall), bound=2)
    yield Row("a bash loop of openssl verify over the same", verify.wall)
    yield Row("  kcert check / bash", ratios(judged.wall, verify.wall))
    yield Row(f"kcert inventory, {MANY:,} files", many.wall)
    proportion = _proportion(many.wall, few.wall, MANY // FEW)
    yield Row(f"  {MANY:,} files / {MANY // FEW} times {FEW:,} files", proportion, bound=1.10)
    yield Row("  peak memory, MiB", many.peak, bound=300, digits=1)
    yield Row(f"kcert check, {MANY:,} files", all_judged.wall)
    yield Row("  check / inventory", ratios(all_judged.wall, many.wall), bound=2)
    yield Row("  peak memory, MiB", all_judged.peak, digits=1)
    yield Row(f"kcert inventory, {CROWD:,} kubeconfigs with the CA inside", crowd.wall)
    proportion = _proportion(crowd.wall, users.wall, CROWD // USERS)
    yield Row(f"  {CROWD:,} kubeconfigs / {CROWD // USERS} times {USERS:,}", proportion, bound=1.10)


def _proportion(many: list[float], few: list[float], times: int) -> list[float]:
    return [one / (another * times) for one, another in zip(many, few, strict=True)]


def _make(folder: Path) -> None:
    """Certificates, each with names and a serial number of its own; one key, which costs the most to make."""
    ca, key = authority(), certificate(name("key")).key
    for place in ("few", "many"):
        (folder / place).mkdir()
        (folder / place / "ca.crt").write_bytes(ca.pem)
    for number in range(MANY):
        names = [f"host{number}", "localhost", "127.0.0.1", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"]
        made = certificate(
            name(f"system:node:host{number}", "system:nodes"), ca, key=key, uses=[SERVER, CLIENT], names=names
        )
        path = folder / f"many/{number}.crt"
        path.write_bytes(made.pem)
        if number < FEW:
            (folder / f"few/{number}.crt").hardlink_to(path)
        for place in ("users", "crowd")[number >= USERS :] if number < CROWD else ():
            user = Pair(made.certificate, key)
            text = kubeconfig(server="https://10.0.0.1:6443", authority=ca.pem, user=user)
            put(folder / place / f"{number}.kubeconfig", text, 0o600)
