"""A kcert.yaml that cannot be taken is refused with its file, line and value; nothing is made of it."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from kcert.files import open_at_once
from tests.refusals import assert_refused
from tests.running import REPOSITORY, Kcert, output

LONG = "n" * 65


@dataclasses.dataclass(frozen=True)
class Bad:
    """A file, the line that is to blame, and what has to be said."""

    text: str | bytes
    line: int
    said: tuple[str, ...]


def bad(text: str | bytes, line: int, *said: str) -> Bad:
    return Bad(text, line, said)


def hosts(*names: str) -> str:
    return "nodes:\n" + "".join(f"  - {{name: {name}, ip: 192.0.2.{n}}}\n" for n, name in enumerate(names, 1))


SHAPES = {
    "unknown key": bad("cluster: a\nprofil: course\n", 2, "profil", "did you mean profile"),
    "unknown key below": bad("api_server:\n  host: a\n  adress: b\n", 3, "adress"),
    "unknown key of a host": bad("nodes:\n  - name: a\n    ip: 192.0.2.1\n    role: x\n", 4, "role"),
    "key twice": bad("cluster: a\nprofile: course\ncluster: b\n", 3, "duplicate key", "line 1"),
    "key twice below": bad("days:\n  ca: 10\n  ca: 20\n", 3, "duplicate key"),
    "a list for text": bad("cluster: [a]\n", 1, "a list"),
    "text for a list": bad("nodes: node01\n", 1, "expected a list, got text"),
    "text for keys": bad("api_server: 192.0.2.1\n", 1, "a group of keys"),
    "a list at the top": bad("- cluster: a\n", 1, "kcert.yaml:1: expected a group of keys"),
    "text at the top": bad("hello\n", 1, "a group of keys"),
    "a number for text": bad("cluster: 42\n", 1, "42", "quotes"),
    "Norway": bad("users:\n  - name: jane\n    groups: [no]\n", 3, "no", "quotes"),
    "yes as a user": bad("users:\n  - name: yes\n", 2, "yes or no"),
    "null as a name": bad("users:\n  - name: ~\n", 2, "nothing"),
    "a date as a name": bad("users:\n  - name: 2026-01-01\n", 2, "a date"),
    "octal days": bad("days:\n  ca: 0o365\n", 2, "0o365"),
    "days that YAML reads as octal": bad("days:\n  ca: 0400\n", 2, "0400"),
    "hexadecimal port": bad("api_server:\n  port: 0x1F\n", 2, "0x1F"),
    "sexagesimal port": bad("api_server:\n  port: 1:30\n", 2, "1:30"),
    "underscored port": bad("api_server:\n  port: 6_443\n", 2, "6_443"),
    "a fraction of days": bad("days:\n  ca: 10.5\n", 2, "10.5"),
    "quoted number": bad('days:\n  ca: "10"\n', 2, "10"),
    "a tab": bad("nodes:\n\t- name: a\n", 2, "YAML"),
    "an open bracket": bad("nodes: [\n", 2, "YAML"),
    "an open quote": bad('cluster: "a\n', 2, "YAML"),
    "two documents": bad("cluster: a\n---\ncluster: b\n", 2, "YAML"),
    "an unknown tag": bad("cluster: !!python/object:os.system x\n", 1, "python"),
    "an unknown anchor": bad("nodes: *nodes\n", 1, "YAML"),
    "latin-1": bad("cluster: caf\xe9\n".encode("latin-1"), 1, "UTF-8"),
    "latin-1 in line 2": bad("profile: course\ncluster: caf\xe9\n".encode("latin-1"), 2, "UTF-8"),
    "UTF-16": bad("cluster: a\n".encode("utf-16"), 1, "UTF-8"),
    "a NUL": bad(b"cluster: a\0b\n", 0, "YAML"),
    "a control character": bad(b"cluster: \x1b[31mred\n", 0, "YAML"),
    "five MiB": bad("# " + "x" * 5 * 1024 * 1024, 0, "larger than"),
    "deep nesting": bad("cluster: " + "[" * 5000 + "]" * 5000, 0, ""),
    "deep nesting of keys": bad("".join(f"{' ' * n}a:\n" for n in range(2000)), 0, ""),
    "a loop of aliases": bad("nodes: &a\n  - *a\n", 0, ""),
    "aliases that multiply": bad(
        "cluster: &a [x,x]\nprofile: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nnodes: [*b,*b,*b,*b]\n", 1, "a list"
    ),
}
NAMES = {
    "upper case": bad(hosts("Node01"), 2, "Node01", "lower case", "node01"),
    "an underscore": bad(hosts("node_01"), 2, "node_01"),
    "a slash": bad(hosts("a/b"), 2, "a/b"),
    "dots": bad(hosts("'..'"), 2, "'..'"),
    "a path": bad(hosts("../../etc/passwd"), 2, "../../etc/passwd"),
    "an empty part": bad(hosts("a..b"), 2, "a..b"),
    "an empty name": bad(hosts("''"), 2, "''"),
    "a newline": bad(hosts('"a\\nb"'), 2, r"a\nb"),
    "a newline at the end": bad(hosts('"a\\n"'), 2, r"a\n"),
    "a quote": bad(hosts('"a\'b"'), 2, "a'b"),
    "a double quote": bad(hosts("'a\"b'"), 2, 'a"b'),
    "a dollar": bad(hosts("a$b"), 2, "a$b"),
    "a dollar and braces": bad(hosts("'${ENV::HOME}'"), 2, "${ENV::HOME}"),
    "a section": bad(hosts("'[v3_req]'"), 2, "[v3_req]"),
    "a comma": bad(hosts("'a,DNS:b'"), 2, "a,DNS:b"),
    "a colon": bad(hosts("'a:b'"), 2, "a:b"),
    "a blank": bad(hosts("a b"), 2, "a b"),
    "a dash in front": bad(hosts("-a"), 2, "-a"),
    "a dash at the end": bad(hosts("a-"), 2, "a-"),
    "an address as a name": bad(hosts("192.0.2.7"), 2, "192.0.2.7", "name"),
    "beyond ASCII": bad(hosts("nöde"), 2, r"n\xf6de"),
    "cyrillic that looks like latin": bad(hosts("n\u043ede"), 2, r"n\u043ede"),
    "turning the direction": bad(hosts('"node\\u202e10"'), 2, r"node\u202e10"),
    "a part of 64": bad(hosts("a" * 64), 2, "a" * 64),
    "a cluster with a slash": bad("cluster: a/b\n", 1, "a/b"),
    "a cluster with a newline": bad('cluster: "a\\nb"\n', 1, r"a\nb"),
    "a domain with a star": bad("dns_domain: '*.local'\n", 1, "*.local"),
    "a host of the API server in upper case": bad("api_server:\n  host: LB\n", 2, "LB", "lb"),
    "an extra name with a comma": bad("api_server:\n  extra_sans:\n    - a,IP:1.2.3.4\n", 3, "a,IP:1.2.3.4"),
    "an extra name with a star inside": bad("api_server:\n  extra_sans: ['a.*.b']\n", 2, "a.*.b"),
}
_USER_LINE = "users:\n  - name: "
USERS = {
    "a slash and a group": bad(_USER_LINE + "dev/O=system:masters\n", 2, "dev/O=system:masters"),
    "a plus and a group": bad(_USER_LINE + "dev+O=system:masters\n", 2, "dev+O=system:masters"),
    "an equals sign": bad(_USER_LINE + "a=b\n", 2, "a=b"),
    "a backslash": bad(_USER_LINE + "'a\\b'\n", 2, "a\\\\b"),
    "a comma": bad(_USER_LINE + "'a,O=b'\n", 2, "a,O=b"),
    "beyond ASCII": bad(_USER_LINE + "jürgen\n", 2, r"j\xfcrgen"),
    "dots": bad(_USER_LINE + "a..b\n", 2, "a..b"),
    "a blank at the end": bad(_USER_LINE + "'jane '\n", 2, "jane "),
    "65 characters": bad(_USER_LINE + LONG + "\n", 2, "64", "65"),
    "a group with a slash": bad(_USER_LINE + "jane\n    groups: [dev/CN=admin]\n", 3, "dev/CN=admin"),
    "a group with a plus": bad(_USER_LINE + "jane\n    groups: ['a+CN=b']\n", 3, "a+CN=b"),
    "a group of 65 characters": bad(_USER_LINE + f"jane\n    groups: [{LONG}]\n", 3, "65"),
    "a group twice": bad(_USER_LINE + "jane\n    groups: [a, a]\n", 3, "'a'", "duplicate"),
    "groups that are no list": bad(_USER_LINE + "jane\n    groups: a\n", 3, "a list"),
    "no name": bad("users:\n  - groups: [a]\n", 2, "no name"),
    "twice": bad("users:\n  - name: jane\n  - name: jane\n", 3, "jane", "line 2"),
}
ADDRESSES = {
    "a number too much": bad("nodes:\n  - {name: a, ip: 192.0.2.256}\n", 2, "192.0.2.256"),
    "three numbers": bad("nodes:\n  - {name: a, ip: 192.0.2}\n", 2, "192.0.2"),
    "a leading zero": bad("nodes:\n  - {name: a, ip: 192.0.2.01}\n", 2, "192.0.2.01"),
    "a network": bad("nodes:\n  - {name: a, ip: 192.0.2.1/24}\n", 2, "192.0.2.1/24"),
    "a zone": bad('nodes:\n  - {name: a, ip: "fe80::1%eth0"}\n', 2, "fe80::1%eth0", "zone"),
    "everything": bad("nodes:\n  - {name: a, ip: 0.0.0.0}\n", 2, "0.0.0.0"),  # noqa: S104 - refused
    "multicast": bad("nodes:\n  - {name: a, ip: 224.0.0.1}\n", 2, "224.0.0.1"),
    "IPv4 in disguise": bad('nodes:\n  - {name: a, ip: "::ffff:192.0.2.1"}\n', 2, "192.0.2.1"),
    "a number": bad("nodes:\n  - {name: a, ip: 3221225985}\n", 2, "3221225985"),
    "empty": bad('nodes:\n  - {name: a, ip: ""}\n', 2, "address"),
    "none at all": bad("nodes:\n  - {name: a, ip: []}\n", 2, "empty"),
    "missing": bad("nodes:\n  - {name: a}\n", 2, "no ip"),
    "a newline and a name": bad('nodes:\n  - {name: a, ip: "192.0.2.1\\nDNS.9 = evil"}\n', 2, "DNS.9"),
    "two hosts with one": bad("nodes:\n  - {name: a, ip: 192.0.2.1}\n  - {name: b, ip: 192.0.2.1}\n", 3, "line 2"),
    "two hosts with one, written in two ways": bad(
        'nodes:\n  - {name: a, ip: "fd00::1"}\n  - {name: b, ip: "fd00:0::1"}\n', 3, "fd00::1"
    ),
    "two hosts with one name": bad(hosts("a", "a"), 3, "'a'", "line 2"),
    "two members with one name": bad(
        "etcd:\n  - {name: a, ip: 192.0.2.1}\n  - {name: a, ip: 192.0.2.2}\n", 3, "'a'", "line 2"
    ),
    "one name with another address": bad(
        "control_plane: [{name: a, ip: 192.0.2.1}]\nnodes:\n  - {name: a, ip: 192.0.2.3}\n",
        *(3, "nodes: 'a' has 192.0.2.3 here and 192.0.2.1 in control_plane (line 1)"),
    ),
    "a default's name with another address": bad(
        "etcd:\n  - {name: controlplane01, ip: 192.0.2.1}\n", 2, "127.0.0.1 in control_plane (kcert's defaults)"
    ),
    "no control plane": bad("control_plane: []\n", 1, "at least one"),
    "port 0": bad("api_server:\n  port: 0\n", 2, "65535"),
    "port 65536": bad("api_server:\n  port: 65536\n", 2, "65536"),
    "port -1": bad("api_server:\n  port: -1\n", 2, "-1"),
    "a port in words": bad("api_server:\n  port: https\n", 2, "https"),
    "services that are no range": bad("service_cidr: services\n", 1, "services", "10.96.0.0/16"),
    "services at an address": bad("service_cidr: 10.96.0.1\n", 1, "'10.96.0.1'", "write '10.96.0.0/16'"),
    "services at an address of IPv6": bad('service_cidr: "fd00:10:96::1"\n', 1, "write 'fd00:10:96::/112'"),
    "services with host bits": bad("service_cidr: 10.96.0.1/16\n", 1, "10.96.0.0/16"),
    "services of /33": bad("service_cidr: 10.96.0.0/33\n", 1, "10.96.0.0/33"),
    "services of one address": bad("service_cidr: 10.96.0.0/32\n", 1, "eight"),
    "two ranges of one family": bad("service_cidr: [10.96.0.0/16, 10.97.0.0/16]\n", 1, "IPv6"),
    "services over a node": bad(
        "service_cidr: 192.0.2.0/24\nnodes:\n  - {name: a, ip: 192.0.2.1}\n", 1, "192.0.2.1, the address of a;"
    ),
    "services over the load balancer": bad("service_cidr: 192.0.2.0/24\napi_server: {ip: 192.0.2.9}\n", 1, "192.0.2.9"),
    "services over the loopback": bad("service_cidr: 127.0.0.0/8\n", 1, "127.0.0.1"),
}
VALUES = {
    "days of 0": bad("days:\n  leaf: 0\n", 2, "'0'"),
    "days of -1": bad("days:\n  ca: -1\n", 2, "-1"),
    "days beyond all time": bad("days:\n  ca: 99999999999\n", 2, "36500"),
    "a leaf that outlives its CA": bad("days:\n  ca: 30\n  leaf: 31\n", 3, "31", "30"),
    "a leaf by default that outlives its CA": bad("days:\n  ca: 364\n", 2, "365", "364"),
    "RSA 512": bad("key:\n  algorithm: rsa\n  bits: 512\n", 3, "512", "2048"),
    "RSA 1024": bad("key: {bits: 1024}\n", 1, "1024"),
    "RSA 16384": bad("key: {bits: 16384}\n", 1, "8192"),
    "a curve for RSA": bad("key: {algorithm: rsa, curve: P-256}\n", 1, "curve"),
    "bits for ECDSA": bad("key: {algorithm: ecdsa, bits: 2048}\n", 1, "bits"),
    "a curve that Go does not know": bad("key: {algorithm: ecdsa, curve: secp256k1}\n", 1, "P-256, P-384"),
    "an algorithm": bad("key: {algorithm: ed25519}\n", 1, "rsa, ecdsa"),
    "a profile": bad("profile: kubadm\n", 1, "kubadm", "course, hardway, kelsey, kubeadm"),
}
CLASHES = {
    "a node called ca": bad(hosts("ca"), 2, "ca"),
    "a node called admin": bad(hosts("a", "admin"), 3, "admin"),
    "a user called admin": bad("users:\n  - name: admin\n", 2, "admin"),
    "a user called as a node": bad(hosts("a") + "users:\n  - name: a\n", 4, "user a", "node a"),
    "two users who share a file": bad("users:\n  - name: 'a:b'\n  - name: a-b\n", 3, "a-b.key"),
    "two users who share a file on macOS": bad("users:\n  - name: jane\n  - name: Jane\n", 3, "Jane.key"),
    "a user called as a kubelet's client": bad("users:\n  - name: kubelet-client-node01\n", 2, "kubelet-client-node01"),
    "a user called as a request's settings": bad("profile: kubeadm\nusers:\n  - name: kubelet\n", 3, "kubelet"),
    "a user called admin, kubeadm": bad("profile: kubeadm\nusers:\n  - name: admin\n", 3, "admin"),
    "a user called super-admin, kubeadm": bad("profile: kubeadm\nusers:\n  - name: super-admin\n", 3, "super-admin"),
    "a node whose user's name is too long": bad(hosts("n" * 53), 2, "65", "64"),
    "an etcd member whose peer is a node": bad(
        "etcd:\n  - {name: a, ip: 192.0.2.1}\n  - {name: b, ip: 192.0.2.2}\n" + hosts("etcd-peer-a"), 0, "etcd-peer-a"
    ),
}
FILES = {
    f"{group}: {name}": one
    for group, table in {
        "shape": SHAPES,
        "name": NAMES,
        "user": USERS,
        "address": ADDRESSES,
        "value": VALUES,
        "clash": CLASHES,
    }.items()
    for name, one in table.items()
}


@pytest.mark.parametrize("what", FILES)
def test_what_cannot_be_taken_is_refused_with_its_line(kcert: Kcert, what: str, tmp_path: Path) -> None:
    file = tmp_path / "kcert.yaml"
    text = FILES[what].text
    file.write_bytes(text if isinstance(text, bytes) else text.encode())

    ended = kcert("all", "--quiet")

    line = FILES[what].line
    assert_refused(ended, 2, f"kcert.yaml:{line}:" if line else "kcert.yaml", *FILES[what].said)
    assert ended.stdout == ""
    assert list(tmp_path.iterdir()) == [file]


GOOD = {
    "empty": "",
    "comments alone": "# nothing yet\n",
    "a BOM": "\ufeffcluster: a\n",
    "CRLF": "cluster: a\r\nprofile: hardway\r\n",
    "one machine as everything": (
        "control_plane: [{name: a, ip: 192.0.2.1}]\nnodes: [{name: a, ip: 192.0.2.1}]\n"
        "etcd: [{name: a, ip: 192.0.2.1}]\n"
    ),
    "one machine as several, its addresses in another order": (
        'control_plane: [{name: a, ip: [192.0.2.1, "fd00::1"]}]\netcd: [{name: a, ip: ["fd00::1", 192.0.2.1]}]\n'
    ),
    "lists that are there without a value": "nodes:\netcd:\nusers:\n",
    "no nodes": "nodes: []\n",
    "IPv6 alone": (
        'control_plane: [{name: a, ip: "fd00::1"}]\nnodes: [{name: b, ip: "fd00::2"}]\nservice_cidr: "fd01::/112"\n'
    ),
    "a name of 52 characters": hosts("n" * 52),
    "names with dots": hosts("a.example.com"),
    "a user with all that is accepted": "users: [{name: 'system:a_b.c@d-1', groups: ['a:b', C_d]}]\n",
    "a star among the extra names": "api_server: {extra_sans: ['*.example.com', 192.0.2.9, 'fd00::9']}\n",
    "a leaf as long as its CA": "days: {ca: 30, leaf: 30}\n",
    "aliases that are no trouble": "control_plane: &hosts [{name: a, ip: 192.0.2.1}]\netcd: *hosts\n",
}


@pytest.mark.parametrize("profile", ["course", "kubeadm"])
@pytest.mark.parametrize("what", GOOD)
def test_what_is_unusual_and_right_is_taken(kcert: Kcert, what: str, profile: str, tmp_path: Path) -> None:
    text = GOOD[what]
    if "profile" not in text and text:
        text += f"profile: {profile}\n"
    (tmp_path / "kcert.yaml").write_text(text, encoding="utf-8", newline="")

    planned = kcert("plan", "--format", "json")

    assert (planned.status, planned.stderr) == (0, "")
    assert '"missing"' in planned.stdout


@pytest.mark.parametrize(
    "name", ["dev/O=system:masters", "a+b", "a=b", "-a", "jürgen", "a\nb", "..", "a/../b", LONG, "\x1b[31m", "a,b"]
)
def test_a_user_on_the_command_line_is_taken_as_given_or_refused(kcert: Kcert, name: str, tmp_path: Path) -> None:
    as_name, as_group = ["client", "--quiet", "--", name], ["client", "--quiet", f"--group={name}", "jane"]
    for arguments, words in ((as_name, "is not a valid user name"), (as_group, "is invalid")):
        assert_refused(kcert(*arguments), 2, words)
        assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_there_is_named(kcert: Kcert) -> None:
    assert_refused(kcert("all", "--config", "other.yaml"), 2, "other.yaml does not exist", "kcert init")


def test_a_folder_is_no_file(kcert: Kcert, tmp_path: Path) -> None:
    assert_refused(kcert("all", "--config", tmp_path), 2, "cannot be read")


def test_a_device_without_end_is_no_file(kcert: Kcert) -> None:
    assert_refused(kcert("plan", "--config", "/dev/zero"), 2, "it is a device")


def test_what_a_program_writes_into_a_pipe_is_taken(kcert: Kcert) -> None:
    planned = kcert("plan", "--config", "/dev/stdin", stdin="users: [{name: jane}]\n")

    assert (planned.status, planned.stderr) == (0, "")
    assert "jane" in planned.stdout


@pytest.mark.thorough
def test_what_bash_has_for_a_generator_is_taken(tmp_path: Path) -> None:
    generator = "users: [{name: jane}]"

    script = ["bash", "-c", '"$@" --config <(echo "$GENERATOR")', "bash", *Kcert.argv("plan")]
    planned = output(script, tmp_path, GENERATOR=generator, PYTHONPATH=str(REPOSITORY))

    assert (planned.status, planned.stderr) == (0, "")
    assert "jane" in planned.stdout


def test_who_writes_into_a_pipe_may_take_his_time() -> None:
    reading, writing = os.pipe()
    with open_at_once(Path(f"/dev/fd/{reading}")) as file:
        assert os.get_blocking(file.fileno())
        os.write(writing, b"cluster: a\n")
        os.close(writing)
        assert file.read() == b"cluster: a\n"
    os.close(reading)


@pytest.mark.parametrize("command", ["plan", "all"])
def test_a_pipe_that_nobody_writes_to_is_neither_waited_for_nor_the_example(
    kcert: Kcert, tmp_path: Path, command: str
) -> None:
    os.mkfifo(tmp_path / "kcert.yaml")

    assert_refused(kcert(command), 2, "kcert.yaml is a pipe without content")
    assert_refused(kcert(command, "--config", "/dev/stdin", stdin=""), 2, "/dev/stdin is a pipe")
    assert not (tmp_path / "pki").exists()


def test_a_dangling_link_is_not_taken_for_no_file(kcert: Kcert, tmp_path: Path) -> None:
    """The built-in example would be made instead of the cluster that is meant."""
    (tmp_path / "kcert.yaml").symlink_to("gone.yaml")

    assert_refused(kcert("all", "--quiet"), 2, "kcert.yaml")
    assert not (tmp_path / "pki").exists()


def test_the_example_is_written_once_and_never_replaced(kcert: Kcert, tmp_path: Path) -> None:
    kcert.done("init", "--profile", "kubeadm")
    written = (tmp_path / "kcert.yaml").read_bytes()

    assert_refused(kcert("init"), 2, "kcert.yaml exists already")
    assert (tmp_path / "kcert.yaml").read_bytes() == written
    assert b"profile: kubeadm" in written
    assert_refused(kcert("init", "--config", "b.yaml", "--profile", "kubadm"), 2, "kubadm", "kubeadm")
    assert_refused(kcert("init", "--config", "not/there/c.yaml"), 3, "not/there/c.yaml")


def described(kcert: Kcert, *arguments: str) -> dict[str, Any]:
    """Return what `kcert init` with *arguments* writes, as YAML reads it."""
    kcert.done("init", *arguments, "--config", "described.yaml")
    path = kcert.folder / "described.yaml"
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.unlink()
    return found


def test_init_describes_the_machines_of_each_book(kcert: Kcert) -> None:
    hardway, kelsey = described(kcert, "--profile", "hardway"), described(kcert, "--profile", "kelsey")

    assert [host["name"] for host in hardway["control_plane"]] == ["controlplane01", "controlplane02"]
    assert (hardway["api_server"]["host"], hardway["api_server"]["ip"]) == ("loadbalancer", "192.168.56.30")
    assert [host["ip"] for host in hardway["nodes"]] == ["192.168.56.21", "192.168.56.22"]
    assert (kelsey["cluster"], kelsey["service_cidr"]) == ("kubernetes-the-hard-way", "10.32.0.0/24")
    assert [host["name"] for host in kelsey["control_plane"] + kelsey["nodes"]] == ["server", "node-0", "node-1"]
    assert kelsey["api_server"]["host"] == "server.kubernetes.local"
    assert (kelsey["key"]["bits"], kelsey["fix_known_issues"]) == (4096, False)
    assert kelsey["days"] == {"ca": 3653, "leaf": 3653}


def test_init_takes_machines_and_release_req_distinguished_name(kcert: Kcert) -> None:
    machines = ("--control-plane", "cp1=10.0.0.1", "--control-plane", "cp2=10.0.0.2,fd00::2", "--node", "n1=10.0.0.9")
    balanced = ("--load-balancer", "lb=10.0.0.5", "--service-cidr", "10.9.0.0/16", "--service-cidr", "fd00:9::/112")

    many = described(kcert, "--profile", "hardway", *machines, *balanced, "--kubernetes-version", "1.30")
    single = described(kcert, "--profile", "kelsey", "--control-plane", "boss=10.0.0.1", "--fix-known-issues")

    assert many["control_plane"] == [{"name": "cp1", "ip": "10.0.0.1"}, {"name": "cp2", "ip": ["10.0.0.2", "fd00::2"]}]
    assert many["nodes"] == [{"name": "n1", "ip": "10.0.0.9"}]
    assert (many["api_server"]["host"], many["api_server"]["ip"]) == ("lb", "10.0.0.5")
    assert (many["service_cidr"], many["kubernetes_version"]) == (["10.9.0.0/16", "fd00:9::/112"], "1.30")
    assert (single["api_server"]["host"], single["nodes"]) == ("boss.kubernetes.local", [])
    assert single["fix_known_issues"] is True


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--node", "node01"), "expected NAME=IP"),
        (("--node", "Node01=10.0.0.1"), "lower case"),
        (("--node", "node01=10.0.0"), "an address looks like"),
        (("--node", "n=10.0.0.1,, "), "an address looks like"),
        (("--node", "a=10.0.0.1", "--node", "a=10.0.0.2"), "'a'"),
        (("--control-plane", "a=10.0.0.1", "--control-plane", "b=10.0.0.2"), "--load-balancer NAME=IP"),
        (("--control-plane", "a=10.0.0.1", "--service-cidr", "10.0.0.0/8"), "10.0.0.1"),
        (("--service-cidr", "10.0.0.1/8"), "--service-cidr"),
        (("--kubernetes-version", "2.0"), "--kubernetes-version"),
        (("--fix-known-issues",), "no mistakes of the profile course"),
    ],
)
def test_init_refuses_what_cannot_be_a_machine(kcert: Kcert, arguments: tuple[str, ...], said: str) -> None:
    assert_refused(kcert("init", *arguments), 2, said)
    assert not (kcert.folder / "kcert.yaml").exists()


@pytest.mark.parametrize("profile", ["course", "kubeadm"])
def test_the_example_says_what_is_built_in(kcert: Kcert, profile: str, tmp_path: Path) -> None:
    (tmp_path / "bare.yaml").write_text(f"profile: {profile}\n", encoding="utf-8")
    built_in = kcert.done("plan", "--format", "json", "--config", "bare.yaml").stdout

    kcert.done("init", "--profile", profile)

    assert kcert.done("plan", "--format", "json").stdout == built_in
