"""Fixes of files whose content is whole, in a form that Kubernetes does not read."""

from __future__ import annotations

import base64
import codecs
from typing import TYPE_CHECKING

from kcert.check import bash, placing
from kcert.openssl.pem import announced_length, is_der, pem_blocks
from kcert.scan.files import recognize
from kcert.scan.fs import Content, read_file

if TYPE_CHECKING:
    from kcert.check.context import RuleContext
    from kcert.scan.result import Problem

_MOST_WRITTEN = 8
"""So many certificates of a file are written down in a command."""


def converted(ctx: RuleContext, problem: Problem) -> str:
    """The commands that bring what is there into the form that Kubernetes reads, with no new certificate."""
    # read_file opens nothing that would not answer: a FIFO waits for a writer for ever.
    read = read_file(problem.path)
    if not isinstance(read, Content) or problem.path == problem.source:
        return ""
    path = bash.word(problem.path)
    program = "pkey" if problem.expects == "key" else "x509"
    into_place = f"mv {path}.new {path}"
    if is_der(read.data):
        known = recognize(problem.path, read.data, ctx.openssl)
        held = known.block if known else None
        fits = held is not None and (held.is_key if problem.expects == "key" else held.is_certificate)
        return f"openssl {program} -inform DER -in {path} -out {path}.new &&\n  {into_place}" if fits else ""
    text = read.data
    if text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = text.decode("utf-16", "replace").encode("ascii", "replace")
    blocks = pem_blocks(text)
    if any(block.is_key for block in blocks):
        only_indented = all("indented" in block.fault for block in blocks if block.fault)
        # The key itself is printed nowhere: grep writes each line without the blanks at its beginning.
        indented = f"(umask 077; grep -o '[^[:space:]].*' {path} > {path}.new) &&\n  {into_place}"
        return indented if only_indented and any(block.fault for block in blocks) else ""
    if len(blocks) == 1 and blocks[0].label in ("TRUSTED CERTIFICATE", "X509 CERTIFICATE"):
        return f"openssl x509 -in {path} -out {path}.new &&\n  {into_place}"
    whole = all(block.der and announced_length(block.der) == len(block.der) for block in blocks)
    expected = all(block.is_public_key if problem.expects == "key" else block.is_certificate for block in blocks)
    if not blocks or len(blocks) > _MOST_WRITTEN or not whole or not expected:
        return ""
    return f"cat {bash.literal(*(block.pem for block in blocks))} > {path}.new &&\n  {into_place}"


def reencoded(ctx: RuleContext, problem: Problem) -> str:
    """Write the certificates of a field, which nothing but their encoding keeps kubectl from reading, as it reads them.

    A key is printed nowhere.
    """
    values = placing.values(problem.path, problem.option or "") if problem.path == problem.source else []
    if len(values) != 1 or "key" in (problem.option or ""):
        return ""
    pems = placing.recovered(values[0])
    return written_into_kubeconfig(ctx, problem, pems) if 0 < len(pems) <= _MOST_WRITTEN else ""


def written_into_kubeconfig(ctx: RuleContext, problem: Problem, pems: list[str]) -> str:
    """Put certificates into the field of a kubeconfig: by kubectl, or by a patch where kubectl cannot read the file."""
    if problem.reason.endswith(NOT_FOR_KUBECTL):
        return field_replaced(problem, base64.b64encode("".join(pems).encode()).decode())
    contexts = [context for context in ctx.scan.kubeconfigs if context.path == problem.path]
    content = f"cat {bash.literal(*pems)}"
    if (problem.option or "").startswith("client-certificate"):
        users = dict.fromkeys(context.user_name for context in contexts if context.user_name)
        user = bash.word(next(iter(users), ""))
        embedded = bash.embedded(problem.path, "set-credentials", user, client_certificate=content)
        return embedded if len(users) == 1 else ""
    clusters = dict.fromkeys(context.cluster for context in contexts if context.ca_embedded)
    cluster = bash.word(next(iter(clusters), ""))
    embedded = bash.embedded(problem.path, "set-cluster", cluster, certificate_authority=content)
    return embedded if len(clusters) == 1 else ""


NOT_FOR_KUBECTL = ("is not base64", "does not read it")
"""How the reasons end for which kubectl cannot load the kubeconfig at all."""


def field_replaced(problem: Problem, new: str) -> str:
    """The command that gives a field with certificates another value; empty where nothing tells which line it is."""
    read = read_file(problem.path)
    text = read.data.decode("utf-8", "replace") if isinstance(read, Content) else ""
    option = problem.option or ""
    field = placing.field_lines(text, option)
    if field is None or "key" in option:
        return ""
    lines = text.split("\n")
    before = lines[field[0]].partition(f"{option}:")[0]
    carriage_return = "\r" if lines[field[0]].endswith("\r") else ""
    changed = [*lines[: field[0]], f"{before}{option}: {new}{carriage_return}", *lines[field[1] :]]
    return bash.patched(problem.path, text, "\n".join(changed), context=0)


def set_aside(ctx: RuleContext, problem: Problem) -> str:
    """Return the command that moves away a file whose former content is unknown."""
    if (
        problem.source is not None
        or problem.expects not in ("certificate", "key")
        or not (problem.path.is_symlink() or problem.path.exists())
    ):
        return ""
    read = read_file(problem.path)
    if isinstance(read, Content) and recognize(problem.path, read.data, ctx.openssl):
        return ""  # a keystore or another format is not damaged
    path = bash.word(problem.path)
    return f"# kcert cannot tell what this file contained. Restore it from a backup.\nmv {path} {path}.damaged"
