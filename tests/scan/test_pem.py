"""Which PEM blocks kcert finds in a file: those that Go finds, and a reason for each that Go passes over."""

from __future__ import annotations

import base64
import random
import subprocess
from typing import TYPE_CHECKING

import pytest

from kcert.openssl.pem import armoured, pem_blocks
from tests.scan.made import authority

if TYPE_CHECKING:
    from pathlib import Path

    from tests.gojudge import GoJudge

CA, OTHER = authority("first"), authority("second")
FIRST, SECOND = CA.pem.decode(), OTHER.pem.decode()
KEY = CA.key_pem.decode()
LINES = FIRST.splitlines()
BODY = "\n".join(LINES[1:-1])

ALIKE = {
    "as openssl writes it": FIRST,
    "carriage returns": FIRST.replace("\n", "\r\n"),
    "text before": f"Certificate:\n    Data:\n\n{FIRST}",
    "bag attributes": f"Bag Attributes\n    friendlyName: x\nsubject=CN = x\n\n{FIRST}",
    "a comment that mentions the words": f"# -----BEGIN CERTIFICATE----- is how it begins\n{FIRST}",
    "blanks behind both lines": FIRST.replace("CERTIFICATE-----", "CERTIFICATE----- \t"),
    "base64 in one line": f"{LINES[0]}\n{BODY.replace(chr(10), '')}\n{LINES[-1]}\n",
    "indented base64": FIRST.replace("\nM", "\n   M"),
    "no line end at the end of the file": FIRST.rstrip(),
}
OVERLOOKED = {
    "is indented": f"  {FIRST}",
    "begins with a byte order mark": f"\ufeff{FIRST}",
    "has other text before its BEGIN line": f"ca: {FIRST}",
    "has other text behind its BEGIN line": FIRST.replace("\n", ".\n", 1),
    "has lines that end with a carriage return alone": FIRST.replace("\n", "\r"),
    "has other text on its END line": FIRST.rstrip() + ".\n",
    "has no END line: the file is cut short": FIRST[:300],
    "has an END line of another type: X509 CERTIFICATE": FIRST.replace("END C", "END X509 C"),
    "contains something that is not base64": f"{LINES[0]}\nnot base64!\n{LINES[-1]}\n",
    "is cut short: 30 of": armoured(b"\x30\x81\x90" + bytes(27)),
    "has 3 extra bytes": armoured(b"\x30\x02\x05\x00" + bytes(3)),
    "is empty": armoured(b""),
    "is labelled X509 CERTIFICATE": FIRST.replace(" CERT", " X509 CERT"),
    "is labelled TRUSTED CERTIFICATE": FIRST.replace(" CERT", " TRUSTED CERT"),
    "is labelled NEW CERTIFICATE REQUEST": FIRST.replace(" CERTIFICATE", " NEW CERTIFICATE REQUEST"),
    "has headers before its base64": FIRST.replace("\n", "\nX: y\n\n", 1),
    "is a key of OpenSSH": armoured(b"openssh-key-v1\0", "OPENSSH PRIVATE KEY"),
}


@pytest.mark.parametrize("content", ALIKE.values(), ids=ALIKE)
def test_a_block_that_go_reads_is_read(content: str, go: GoJudge) -> None:
    (block,) = pem_blocks(content.encode())
    assert (block.label, block.fault, block.pem) == ("CERTIFICATE", None, FIRST)
    assert block.line == next(n for n, line in enumerate(content.splitlines(), 1) if line.rstrip() == LINES[0])
    assert go.error(op="certificates", data=content.encode()) is None


@pytest.mark.parametrize(("fault", "content"), OVERLOOKED.items(), ids=OVERLOOKED)
def test_a_block_that_go_does_not_use_has_a_fault_and_does_not_hide_the_next(
    fault: str, content: str, go: GoJudge
) -> None:
    data = content.encode()
    assert go.error(op="certificates", data=data) is not None
    block, following = pem_blocks(data + b"\n" + SECOND.encode())
    assert block.fault is not None
    assert block.fault.startswith("the block that begins on line 1 ")
    assert fault in block.fault
    assert (following.pem, following.fault) == (SECOND, None)


def test_two_files_joined_without_a_line_break_hide_both(go: GoJudge) -> None:
    content = (FIRST.rstrip() + SECOND).encode()
    assert go.error(op="certificates", data=content) is not None
    first, second = pem_blocks(content)
    assert "ends on the line where the next block begins" in str(first.fault)
    assert "begins on the END line of the block before it" in str(second.fault)
    assert second.line == len(LINES)


def test_a_comment_that_mentions_the_words_is_not_a_block() -> None:
    assert pem_blocks(b"# between -----BEGIN CERTIFICATE----- and -----END CERTIFICATE-----\n") == []


@pytest.mark.parametrize("label", ["DH PARAMETERS", "X509 CRL", "EC PARAMETERS", "SOMETHING ELSE"])
def test_other_pem_has_no_faults(label: str) -> None:
    blocks = pem_blocks((armoured(b"\x06\x01\x02", label) + KEY).encode())
    assert [(block.label, block.fault) for block in blocks] == [(label, None), ("PRIVATE KEY", None)]


def test_a_pgp_key_is_not_a_damaged_block() -> None:
    lines = "\n".join(
        ["-----BEGIN PGP PUBLIC KEY BLOCK-----", "", "A" * 64, "=abcd", "-----END PGP PUBLIC KEY BLOCK-----"]
    )
    assert pem_blocks(f"{lines}\n".encode()) == []


@pytest.mark.parametrize("form", ["pkcs8", "rsa"])
def test_an_encrypted_key_is_known_in_both_forms(form: str, tmp_path: Path, go: GoJudge) -> None:
    key = tmp_path / "key"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    argv = {"pkcs8": ["pkcs8", "-topk8", "-in"], "rsa": ["rsa", "-aes256", "-traditional", "-in"]}[form]
    lock = ["-passout", "pass:secret"]
    made = subprocess.run(["openssl", *argv, key, *lock], check=True, capture_output=True).stdout
    if b"Proc-Type" not in made and form == "rsa":
        pytest.skip("this openssl writes no traditional keys")
    (block,) = pem_blocks(made)
    assert (block.is_key, block.encrypted, block.fault) == (True, True, None)
    assert go.error(op="key", data=made) is not None


PIECES = [
    "-----BEGIN ", "-----END ", "-----", "\n", "\r\n", "\r", " ", "\t", "\n\n", ":", "Proc-Type: 4,ENCRYPTED\n",
    "X: y", "=", "==", "QUJD", "a", "-", "\x0b", "\x00", "\ufeff", "-----END CERTIFICATE-----", "\n-----END ", "# ",
    "-----BEGIN CERTIFICATE-----", "-----BEGIN CERTIFICATE REQUEST-----", armoured(b"0\x03\x02\x01\x05", "PRIVATE KEY"),
    armoured(bytes(70)), armoured(b"", ""),
]  # fmt: skip


def mutated(rng: random.Random) -> bytes:
    """PEM in which text was inserted, deleted and moved."""
    return changed(rng, "".join(rng.choice(PIECES[-3:] + PIECES) for _ in range(rng.randint(1, 5))))


def changed(rng: random.Random, text: str) -> bytes:
    """*text*, changed at a few places."""
    for _ in range(rng.choice([0, 1, 1, 2, 3, 5])):
        at, other = rng.randint(0, len(text)), rng.randint(0, len(text))
        match rng.randint(0, 4):
            case 0 | 1:
                text = text[:at] + rng.choice(PIECES) + text[at:]
            case 2:
                text = text[:at] + text[at + rng.randint(1, 3) :]
            case 3:
                text = text.replace("\n", "\r\n")
            case _:
                text = text[:at] + text[other : other + rng.randint(1, 60)] + text[at:]
    return text.encode()


def differences(go: GoJudge, cases: list[bytes]) -> list[bytes]:
    """Return the files in which kcert and Go find different blocks."""
    wrong = []
    for content, answer in zip(cases, go.answers({"op": "pem", "data": content} for content in cases), strict=True):
        expected = [base64.b64decode(block["der"]) for block in answer.get("blocks", [])]
        if [block.der for block in pem_blocks(content) if block.recognized] != expected:
            wrong.append(content)
    return wrong


def test_kcert_and_go_find_the_same_blocks(go: GoJudge) -> None:
    rng = random.Random(19)  # noqa: S311 - the same cases in every run
    assert differences(go, [mutated(rng) for _ in range(3000)]) == []
