"""The options of a component with the reasons, or as a file; and the encryption config (never a key)."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from kcert import lessons, profiles
from kcert.config import STABLE, Version
from kcert.issue.status import CertificateStatus, State
from kcert.kubernetes import encryption, install
from kcert.kubernetes.components.component import ComponentInstance, Option
from kcert.kubernetes.encryption import Change, EncryptionConfig
from kcert.ui import print_json, warning
from kcert.ui.console import (
    INDENT,
    block,
    clean_line,
    heading,
    say,
    say_apart,
    say_paragraphs,
    screen,
    show_file,
)
from kcert.ui.lesson import ResultReporter


def print_form(instance: ComponentInstance, form: str) -> None:
    """Print the content of a file, and nothing else."""
    sys.stdout.write(install.render(instance, form))


def show(instance: ComponentInstance, *, explain: bool) -> None:
    """Print each option, its reason below it."""
    component = instance.program
    cluster = instance.cluster
    if explain:
        lessons.check_own()
    heading(f"{instance.component} on {instance.host.name}: profile {cluster.profile}, Kubernetes {instance.version}")
    if explain:
        say(lessons.option_reason(component.NAME))
    screen().print()
    for option in component.options(instance):
        _option(instance, option, option.argument, explain=explain)
    settings = tuple(component.settings(instance))
    if settings:
        screen().print()
        say_apart(f"In {instance.profile.configurations[instance.component]}:")
    for setting in settings:
        _option(instance, setting, f"{setting.name}: {_value(setting)}", explain=explain)
    screen().print()
    if explain and instance.component == "kube-controller-manager":
        signing = lessons.lesson("csrapproving-csrsigning")
        heading(signing.title)
        say_paragraphs(signing.opening)
    say(_next(instance))


def as_json(instance: ComponentInstance) -> None:
    """Print the options, and the settings of the configuration file, as JSON."""
    component = instance.program
    content = {
        "component": instance.component,
        "host": instance.host.name,
        "profile": instance.cluster.profile,
        "kubernetes_version": str(instance.version),
        "options": [
            {
                "argument": option.argument,
                "reason": _why(instance, option) or None,
                "file": str(option.reads.file) if option.reads else None,
            }
            for option in component.options(instance)
        ],
        "config": [
            {"path": setting.name, "value": _value(setting), "reason": _why(instance, setting) or None}
            for setting in component.settings(instance)
        ],
    }
    print_json(content)


def warn(instance: ComponentInstance, unfit: Iterable[CertificateStatus], folder_option: str) -> None:
    """Say on standard error what the PKI folder lacks of it, and how to get it."""
    if instance.component == "kube-controller-manager" and instance.state.ca_unusable:
        warning(unsigning(instance.state.ca_unusable))
    unfit = tuple(unfit)
    missing = [status.certificate for status in unfit if status.state is State.MISSING]
    if missing:
        chapters = {spec.chapter for spec in missing}
        command = f"kcert {chapters.pop() if len(chapters) == 1 else 'all'}{folder_option}"
        warning(f"not created yet: {', '.join(spec.name for spec in missing)}. `{command}` creates them.")
    for status in unfit:
        if status.state is not State.MISSING:
            name, command = status.certificate.name, status.fix_command(folder_option)
            warning(f"{name} is {status.state.value}: {clean_line(status.blocking)}. `{command}` renews it.")


def warn_of_issues(instance: ComponentInstance) -> None:
    """Say on standard error which mistakes of its book the profile follows for this component."""
    for issue in instance.profile.known_issues(instance.cluster):
        if issue.component == instance.component:
            warning(f"known issue: {issue.problem} `fix_known_issues: true` in kcert.yaml {issue.fix}.")


def warn_of_release(version: Version) -> None:
    """Warn that kcert does not know what a newer release has removed."""
    if version.minor > STABLE.minor:
        warning(
            f"Kubernetes {version} is newer than {STABLE}, the last whose options kcert knows: compare them with its "
            f"release notes."
        )


def unsigning(why: str) -> str:
    """Return what follows if kube-controller-manager cannot have the CA's key."""
    return (
        f"{why}. So kube-controller-manager gets no --cluster-signing options: everything else works, but requests "
        f"through the Certificates API are not signed, including those of new kubelets (`kcert csr sign` signs them "
        f"by hand)."
    )


def _why(instance: ComponentInstance, given: Option) -> str:
    return lessons.option_reason(instance.component, given.name)


def _option(instance: ComponentInstance, option: Option, text: str, *, explain: bool) -> None:
    block([text], "command")
    if explain and (why := _why(instance, option)):
        say(f"{why}{f' ({option.reads.file})' if option.reads else ''}", bullet=2 * INDENT)


def _value(setting: Option) -> str:
    if isinstance(setting.value, bool):
        return "true" if setting.value else "false"
    return ", ".join(setting.value) if isinstance(setting.value, tuple) else setting.value


def _next(instance: ComponentInstance) -> str:
    component = instance.program
    forms_ = ["flags"]
    if component.why_no_unit(instance.profile) is None:
        forms_.append("systemd")
    if component.pod(instance) is not None:
        forms_.append("manifest")
    if tuple(component.settings(instance)):
        forms_.append("config")
    return f"To write these options to a file, use one of `--format {'`, `--format '.join(forms_)}` with `-o FILE`."


_REWRITE = "kubectl get secrets --all-namespaces -o json | kubectl replace -f -"


class EncryptionReporter(ResultReporter):
    """Shows each step as it happens; when *quiet*, one line at the end, or JSON (*form*)."""

    LESSON = "encryption-config"
    PARAGRAPHS = 3

    def ends(self, config: EncryptionConfig, change: Change) -> None:
        """Show the file without its keys, and the next step."""
        path = str(self._ctx.root / encryption.FILE)
        if self._form == "json":
            record = {"path": path, "change": change, "provider": config.provider, "keys": list(config.names)}
            print_json(record)
            return
        if self._quiet:
            sys.stdout.write(f"{encryption.FILE}  {change}  {' '.join(config.names)}\n")
            return
        if self._explain:
            heading(str(encryption.FILE))
            block(config.text(secrets=False).splitlines())
        show_file(path, "  (as it was)" if change == "kept" else "  (mode 0600)")
        self._next(config, change)

    def _next(self, config: EncryptionConfig, change: Change) -> None:
        option = self._ctx.folder_option
        target = profiles.PROFILES[self._ctx.cluster.profile].encryption_config
        everywhere = (
            f"Copy the file to {target} on every control-plane host (`kcert bundle{option}` packs it), and restart "
            "kube-apiserver on each of them."
        )
        if change in ("created", "kept"):
            say(
                f"{everywhere} `kcert flags kube-apiserver{option}` has the option. Secrets that exist already are "
                "encrypted when they are written again:"
            )
            block([_REWRITE], "command")
        elif change == "added":
            say(
                f"{config.names[1]} is second: it decrypts, and does not encrypt yet. {everywhere} Only when all of "
                "them have the new key, let it encrypt:"
            )
            block([f"kcert encryption-config --rotate{option}"], "command")
        elif change == "swapped":
            say(f"{config.names[0]} is first: it encrypts. {everywhere} Then rewrite all Secrets with it:")
            block([_REWRITE], "command")
            say("Once that has succeeded, and not before, remove the old key:")
            block([f"kcert encryption-config --finish{option}"], "command")
        else:
            say(
                f"{config.names[0]} is the only key. {everywhere} A backup of etcd from before the rotation needs "
                "the old key, which is in .kcert/backup of the PKI folder."
            )
