"""Files: certificates, keys and kubeconfigs that are not there, or that the program may not read."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from kcert.diagnose.cause import Cause, Meaning, Saying, Wording
from kcert.diagnose.commands import file, is_pki, lines, look, name_of, repair, sign, sign_in, which
from kcert.files import mistyped

_KUBECONFIGS = (".conf", ".kubeconfig")


def _is_key(path: str) -> bool:
    return PurePosixPath(path).suffix == ".key" or PurePosixPath(path).name.endswith("-key.pem")


def _is_kubeconfig(path: str) -> bool:
    pure = PurePosixPath(path)
    return pure.suffix in _KUBECONFIGS or not pure.suffix


def _is_authority(path: str) -> bool:
    """Whether the file is a CA's by its name: that is never made again, because nothing would know the new one."""
    stem = PurePosixPath(path).stem.removesuffix("-key")
    return stem == "ca" or stem.endswith("-ca")


def _openssl(path: str) -> str:
    """The command that shows that a file is what it should be."""
    if _is_key(path):
        return f"openssl pkey -in {file(path)} -noout"
    if PurePosixPath(path).suffix in _KUBECONFIGS:
        return (
            f"kubectl config view --kubeconfig {file(path)} --raw "
            "-o jsonpath='{.users[0].user.client-certificate-data}' |\n"
            "  base64 -d | openssl x509 -noout -subject -dates"
        )
    return look(path, "subject", "dates")


def _missing(saying: Saying) -> Meaning | None:
    path = saying.word("path").strip("\"'")
    if not is_pki(path):
        return None
    if PurePosixPath(path).name == "bootstrap-kubelet.conf":
        return _bootstrap(path)
    if meant := _meant(path):
        return _mistyped(path, meant)
    name = name_of(path)
    folder = str(PurePosixPath(path).parent)
    kubeconfig = _is_kubeconfig(path)
    if _is_authority(path):
        return _missing_authority(path)
    return Meaning(
        f"{path} is not there: the path in an option is mistyped, the file was never copied, or a pod does not "
        "mount its folder.",
        lines(f"ls -l {file(folder)}", _openssl(path)),
        repair(
            (
                f"kcert kubeconfig {name}"
                if kubeconfig
                else "kcert all   # makes what is missing; kcert plan says what",
                "kcert flags COMPONENT   # the options with their paths",
            ),
            (
                f"# copy it to {path}, or correct the option that names it",
                "" if kubeconfig or _is_key(path) else sign_in(folder, name),
            ),
        ),
    )


_USUAL = {
    *("apiserver", "apiserver-etcd-client", "apiserver-kubelet-client", "ca", "front-proxy-ca", "front-proxy-client"),
    *("healthcheck-client", "peer", "sa", "server"),
}
"""kubeadm's names without their suffix: some are like each other, and nobody has mistyped them."""


def _meant(path: str) -> Path | None:
    """The file of nearly that name, where this is the host that the log is of."""
    meant = None if PurePosixPath(path).stem in _USUAL else mistyped(Path(path))
    return meant if meant and meant.name.isprintable() else None


def _mistyped(path: str, meant: Path) -> Meaning:
    folder = str(PurePosixPath(path).parent)
    return Meaning(
        f"{path} is not there, and {meant.name} lies beside it: the path in an option is mistyped, most likely, and "
        "the option has to be corrected.",
        lines(f"ls -l {file(folder)}", _openssl(str(meant))),
        repair(
            ("kcert flags COMPONENT   # the options with their paths",),
            (f"# write {meant} where an option says {path}, and start the component again",),
        ),
    )


def _missing_authority(path: str) -> Meaning:
    folder = str(PurePosixPath(path).parent)
    return Meaning(
        f"{path}, a CA's file, is not there: the path in an option is mistyped, the file was never copied, or a pod "
        "does not mount its folder.",
        lines(f"ls -l {file(folder)}", _openssl(path)),
        repair(
            ("kcert bundle HOST   # packs what a host needs, the CA's certificate among it",),
            (
                f"# copy it to {path} from a host that has it, or correct the option that names it",
                "# never make a new one in its place: it would vouch for none of the certificates that are in use",
            ),
        ),
    )


def _bootstrap(path: str) -> Meaning:
    return Meaning(
        f"The kubelet wants to ask for a certificate with {path}, because its own kubeconfig is missing or its "
        "certificate has ended.",
        lines(
            "ls -l /etc/kubernetes/kubelet.conf /var/lib/kubelet/pki",
            look("/var/lib/kubelet/pki/kubelet-client-current.pem", "subject", "dates"),
        ),
        repair(
            ("kcert renew kubelet-client-NODE   # kubeadm: kubelet", "kcert kubeconfig NODE"),
            (sign("kubelet-client-NODE"), "# or make a new bootstrap file: kubeadm token create --print-join-command"),
        ),
    )


def _unreadable(saying: Saying) -> Meaning | None:
    path = saying.word("path").strip("\"'")
    if not is_pki(path):
        return None
    if _is_kubeconfig(path):
        return _closed_kubeconfig(path)
    return Meaning(
        f"The program runs as a user who may not read {path}, or may not enter a folder on the way to it.",
        lines(f"ls -l {file(path)}", f"namei -l {file(path)}", _openssl(path)),
        repair(
            ("kcert check",),
            (
                f"chown USER {file(path)}   # USER: whom the program runs as, for instance etcd",
                f"chmod {'600' if _is_key(path) else '644'} {file(path)}",
            ),
        ),
    )


def _closed_kubeconfig(path: str) -> Meaning:
    return Meaning(
        f"You, or the user whom the program runs as, may not read {path}. It holds a private key, so it stays closed "
        "to all but its owner.",
        lines(f"ls -l {file(path)}", _openssl(path)),
        repair(
            (f"kcert kubeconfig {name_of(path)}", which(name_of(path))),
            (
                f"sudo install -D -m 600 -o $(id -u) -g $(id -g) {file(path)} ~/.kube/config   # a copy of your own",
                f"# or, for a program: chown USER {file(path)}; its mode stays 600",
            ),
        ),
    )


def _directory(saying: Saying) -> Meaning | None:
    path = saying.word("path").strip("\"'")
    if not is_pki(path):
        return None
    return Meaning(
        f"{path} is a folder: a pod mounted a file that was not there, and its host made a folder of that name.",
        lines(f"ls -ld {file(path)}", _openssl(path)),
        repair(
            ("kcert all   # makes what is missing",),
            (
                f"rmdir {file(path)}",
                "# put the file there, then start the pod again",
                sign_in(str(PurePosixPath(path).parent), name_of(path)) if not _is_key(path) else "",
            ),
        ),
    )


def _gone(saying: Saying) -> Meaning | None:
    """openssl and curl name a file that they were given as a certificate or key, whatever it is called."""
    path = saying.word("path").strip("\"'")
    if not path:
        return None
    if meant := _meant(path):
        return _mistyped(path, meant)
    folder = str(PurePosixPath(path).parent)
    return Meaning(
        f"{path} is not there, or cannot be opened.",
        lines(f"ls -l {file(folder)}", _openssl(path)),
        repair(
            ("kcert all   # makes what is missing; kcert plan says what", which(name_of(path))), ("# correct the path",)
        ),
    )


def _open_to_others(saying: Saying) -> Meaning:
    path = saying.word("path")
    return Meaning(
        f"{path or 'A kubeconfig'} can be read by others than its owner, and so can the key in it.",
        lines(
            f"ls -l {file(path or 'admin.kubeconfig')}",
            "# openssl x509 -noout -subject tells whose key it is; kcert show prints it",
        ),
        repair(("kcert check",), ("# openssl has no part in it:", f"chmod 600 {file(path or 'admin.kubeconfig')}")),
    )


CAUSES = (
    Cause(
        "kubeconfig-open-to-others",
        "key-permissions",
        (
            Wording(
                "Kubernetes configuration file is",
                r"Kubernetes configuration file is (?:group|world)-readable.*?Location: (?P<path>\S+)",
            ),
        ),
        _open_to_others,
    ),
    Cause(
        "missing-file",
        "missing-file",
        (
            Wording(
                "no such file or directory",
                r"\b(?:open|stat|lstat|read) (?P<path>/[^:]*|[^\s:]+): no such file or directory",
            ),
            Wording("No such file or directory", r"(?:open|access) '?(?P<path>/[^\s:']+)'?: No such file or directory"),
            Wording("No such file or directory", r"No such file or directory: '(?P<path>[^']+)'"),
        ),
        _missing,
    ),
    Cause(
        "missing-file-openssl",
        "missing-file",
        (
            Wording(
                "Could not open file or uri for loading",
                r"Could not open file or uri for loading .*? from (?P<path>\S.*?)\s*$",
            ),
            Wording("calling stat(", r"calling stat\((?P<path>[^)]+)\)"),
            Wording("calling fopen(", r"calling fopen\((?P<path>[^)]+), r\)"),
            Wording("Error loading file", r"^Error loading file (?P<path>\S.*?)\s*$"),
            Wording("for reading", r"Can't open \"?(?P<path>[^\",]+?)\"? for reading, No such file or directory"),
            Wording(
                "error setting certificate",
                r"error setting certificate (?:file|verify locations)s?:(?: |\s*CAfile: )(?P<path>\S+)",
            ),
            Wording(
                "could not load PEM client certificate from",
                r"could not load PEM client certificate from (?P<path>\S+),",
            ),
        ),
        _gone,
    ),
    Cause(
        "unreadable-file",
        "key-permissions",
        (
            Wording("permission denied", r"\b(?:open|stat|lstat|read) (?P<path>/[^:]*|[^\s:]+): permission denied"),
            Wording("Permission denied", r"Permission denied: '(?P<path>[^']+)'"),
            Wording("Permission denied", r"Can't open \"?(?P<path>[^\",]+?)\"? for reading, Permission denied"),
        ),
        _unreadable,
    ),
    Cause(
        "folder-in-place-of-file",
        "missing-file",
        (Wording("is a directory", r"\bread (?P<path>/[^:]*|[^\s:]+): is a directory"),),
        _directory,
    ),
)
