"""For Ansible: an inventory of the cluster's hosts, a play that installs their bundles, and the bundles.

The play is the same for every cluster, for the administrator to read and change; the inventory contains all that
differs from cluster to cluster.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from kcert import plain_yaml, profiles
from kcert.config import Cluster, Host
from kcert.errors import InputError
from kcert.issue.context import Context
from kcert.kubernetes import bundles
from kcert.kubernetes.components import COMPONENTS, folder_state
from kcert.kubernetes.export import FOLDER, Export
from kcert.kubernetes.install import Bundle
from kcert.profiles.profile import ETCD_PORT
from kcert.store import PUBLIC_MODE, SECRET_MODE
from kcert.store.atomic import OutputFile, Written, make_folder, write_files

NAME = "ansible"

PLAY = Path(__file__).parent / "play"
"""The play, beside this module in a checkout and in an installed kcert alike."""

_HEAD = """\
# The hosts of the cluster {cluster} (profile {profile}), and the files that each of them gets.
# Set the user that Ansible logs in as: `--user NAME`, or ansible_user in group_vars/all.yaml beside this file. It
# becomes root there. Variables in group_vars/all.yaml override those in this file and are kept: `kcert export ansible`
# replaces this file and the bundles. Run it again after each renewal.

"""


def packed(ctx: Context) -> tuple[Bundle, ...]:
    """Return every host's bundle, of certificates only: units and manifests stay as they are on a cluster that runs.

    Raises InputError for certificates and kubeconfigs that are missing, stale or expired, with the command
    that makes them.
    """
    return tuple(bundle.certificates_only for bundle in bundles.bundles(ctx, ()))


def texts(ctx: Context, made: Iterable[Bundle]) -> list[OutputFile]:
    """Return the inventory of the hosts with the bundles *made*, and the play."""
    play = {PurePosixPath(path.relative_to(PLAY)): path.read_bytes() for path in sorted(PLAY.rglob("*.yaml"))}
    contents = {PurePosixPath("inventory.yaml"): inventory(ctx.cluster, made).encode(), **play}
    return [OutputFile(path, content, PUBLIC_MODE) for path, content in contents.items()]


def export(ctx: Context, made: tuple[Bundle, ...]) -> Export:
    """Return the inventory, the play and the bundles *made*."""
    archives = (
        OutputFile(PurePosixPath("bundles", bundle.file), bundles.archive(bundle), SECRET_MODE) for bundle in made
    )
    return Export(
        target=NAME,
        files=(*texts(ctx, made), *archives),
        columns=("host", "address", "groups", "files", "restarts"),
        holds=tuple(map(_row, made)),
    )


def folder_for(output: Path | None) -> Path:
    """Return the folder for the export: *output*, or one below ./export.

    Raises InputError where a file is in the way.
    """
    folder = output or FOLDER / NAME
    if not str(folder).isprintable():
        raise InputError(f"{str(folder)!a} is not a path that kcert writes to: it contains control characters.")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is not a folder, and the export consists of several files. Specify a folder.")
    return folder


def put(made: Export, output: Path | None) -> tuple[Path, tuple[Written, ...]]:
    """Write the export into its folder, made if it is not there; return that folder as well.

    Raises InputError where a file is in the way.
    """
    folder = folder_for(output)
    if output:
        make_folder(output)
    return folder, write_files(made.files, output, folder)


def signs_with(ctx: Context) -> PurePosixPath | None:
    """Return where kube-controller-manager finds the new CA alone while the CA is changed over; None if it is not."""
    state = folder_state(ctx.root, ctx.cluster)
    if not state.ca_rotating or state.ca_unusable:
        return None
    return profiles.PROFILES[ctx.cluster.profile].install_path(ctx.known["ca"], "new", "kube-controller-manager")


def inventory(cluster: Cluster, made: Iterable[Bundle]) -> str:
    """The inventory, as YAML."""
    called = _called(cluster)
    ports = {"etcd": ETCD_PORT, "kube-apiserver": profiles.PROFILES[cluster.profile].secure_port(cluster)}
    content = {
        "all": {
            "vars": {
                "kcert_bundles": "{{ playbook_dir }}/bundles",
                "kcert_root": "",
                "kcert_owner": "root",
                "kcert_group": "root",
                "kcert_restart": True,
                "kcert_ports": ports,
            },
            "hosts": {called[bundle.host.name]: _host(bundle) for bundle in made},
            "children": {
                group: {"hosts": {called[host.name]: None for host in hosts}}
                for group, hosts in _groups(cluster).items()
            },
        }
    }
    return _HEAD.format(cluster=cluster.name, profile=cluster.profile) + plain_yaml.dump(content)


def _called(cluster: Cluster) -> Mapping[str, str]:
    """Return the inventory's name of each host: its own, unless a group has that name, which Ansible would confuse."""
    groups = ("all", "ungrouped", *_groups(cluster))
    taken = {*groups, *(host.name for host in cluster.hosts)}
    called = {}
    for host in cluster.hosts:
        name = host.name
        if name in groups:
            while name in taken:
                name += "-host"
            taken.add(name)
        called[host.name] = name
    return called


def _host(bundle: Bundle) -> dict[str, Any]:
    return {
        "ansible_host": bundle.host.addresses[0],
        "kcert_bundle": bundle.file,
        "kcert_files": [
            {
                "path": str(file.path),
                "mode": f"{file.mode:04o}",
                "secret": file.mode == SECRET_MODE,
                "readers": [reader for reader in file.readers if reader in COMPONENTS],
            }
            for file in bundle.files
        ],
    }


def _groups(cluster: Cluster) -> Mapping[str, tuple[Host, ...]]:
    return {"control_plane": cluster.control_plane, "etcd": cluster.etcd, "nodes": cluster.nodes}


def _row(bundle: Bundle) -> tuple[str, ...]:
    own = [
        group
        for group, hosts in _groups(bundle.cluster).items()
        if any(host.name == bundle.host.name for host in hosts)
    ]
    readers = [name for name in COMPONENTS if any(name in file.readers for file in bundle.files)]
    return (bundle.host.name, bundle.host.addresses[0], ", ".join(own), str(len(bundle.files)), " ".join(readers))
