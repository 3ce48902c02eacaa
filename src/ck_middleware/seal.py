"""This file is how a value is given to a stranger to keep: sealed when it must not be read, signed when it may be.

Every purpose (session, login, logout form ...) and every client has a key of its own, derived from the one secret, so
that a value made for one purpose opens for no other.
"""

import base64
import binascii
import hashlib
import os
import time
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from itsdangerous import BadData, TimestampSigner

VERSION = "ck-middleware 1"
KEY_SIZE = 32  # bytes: AES-256
NONCE_SIZE = 12  # bytes (NIST SP 800-38D, 8.2.2)
TAG_SIZE = 16  # bytes
AHEAD = 60  # seconds by which the clock of the machine that sealed or signed may be ahead of ours
# What is no character of base64url, those of plain base64 included, becomes one that the strict decoder refuses.
PLAIN = bytes.maketrans(b"-_+/=", b"+/   ")
# How a value may end whose last character carries two or four bits that count for nothing: these are zero.
ENDINGS = {2: b"AQgw", 3: b"AEIMQUYcgkosw048"}
LARGEST = 4096  # characters of a sealed value; no browser keeps a longer cookie (RFC 6265, 6.1)


def derive(secret: str, *, purpose: str, client: str) -> bytes:
    """The key for one purpose of one client (HKDF-SHA256, RFC 5869). `secret` has at least 32 bytes."""
    info = f"{VERSION}\0{purpose}\0{client}".encode()
    return HKDF(algorithm=hashes.SHA256(), length=KEY_SIZE, salt=None, info=info).derive(secret.encode())


class Seal:
    """AES-256-GCM for one purpose. The first secret seals, all of them open, so that a secret can be rotated."""

    def __init__(self, secrets: Sequence[str], *, purpose: str, client: str) -> None:
        self._boxes = tuple(AESGCM(derive(secret, purpose=purpose, client=client)) for secret in secrets)
        self._bound = f"{VERSION}\0{purpose}\0".encode()

    def seal(self, plain: bytes, *, name: str) -> str:
        """The value for the cookie called `name`, in base64url without padding. It opens under no other name."""
        return base64.urlsafe_b64encode(self.seal_bytes(plain, name=name)).rstrip(b"=").decode()

    def open(self, value: bytes, *, name: str) -> bytes | None:
        """What was sealed, or `None` for anything that this seal did not make for a cookie of this name."""
        # Length first: a megabyte of nonsense costs nothing.
        sealed = octets(value) if NONCE_SIZE + TAG_SIZE < len(value) <= LARGEST else None
        return None if sealed is None else self.open_bytes(sealed, name=name)

    def seal_bytes(self, plain: bytes, *, name: str) -> bytes:
        """The same without base64, for a store."""
        nonce = os.urandom(NONCE_SIZE)
        return nonce + self._boxes[0].encrypt(nonce, plain, self._bound + name.encode())

    def open_bytes(self, sealed: bytes, *, name: str) -> bytes | None:
        """What was sealed under this name, or `None`."""
        nonce, rest, bound = sealed[:NONCE_SIZE], sealed[NONCE_SIZE:], self._bound + name.encode()
        for box in self._boxes:
            try:
                return box.decrypt(nonce, rest, bound)
            except (InvalidTag, ValueError):  # too short for a nonce
                continue
        return None


def octets(value: bytes) -> bytes | None:
    """What stands in base64url without padding, or `None`.

    Python's decoder ignores stray bits, and skips foreign characters unless told; here a value has one spelling.
    """
    over = len(value) % 4
    if over and value[-1] not in ENDINGS.get(over, b""):
        return None
    try:
        return binascii.a2b_base64(value.translate(PLAIN) + b"=="[: -over % 4], strict_mode=True)
    except ValueError:
        return None


class Signature:
    """A signature with a time, for what may be read but not forged. The first secret signs, all of them verify."""

    def __init__(self, secrets: Sequence[str], *, purpose: str, client: str) -> None:
        keys = [derive(secret, purpose=purpose, client=client) for secret in reversed(secrets)]
        self._signer = TimestampSigner(keys, salt=purpose, key_derivation="none", digest_method=hashlib.sha256)

    def sign(self, value: str) -> str:
        return self._signer.sign(value).decode()

    def verify(self, signed: str, *, max_age: float) -> str | None:
        """The value, or `None` when we did not sign it or did so more than `max_age` seconds ago."""
        found = self.verify_dated(signed)
        if found is None or not -AHEAD <= time.time() - found[1] <= max_age:
            return None
        return found[0]

    def verify_dated(self, signed: str) -> tuple[str, int] | None:
        """The value and when it was signed, in seconds since the epoch; `None` when we did not sign it."""
        try:
            if octets(signed.rpartition(".")[2].encode()) is None:
                return None
            value, signed_at = self._signer.unsign(signed, return_timestamp=True)
            return value.decode(), int(signed_at.timestamp())
        except (BadData, ValueError):
            return None
