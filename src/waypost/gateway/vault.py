"""Seals secrets before they are stored and opens them again (decision D15)."""

import hashlib

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_SCHEME = "sealed1"
_NONCE_BYTES = 12  # what AES-GCM takes


class SealBroken(Exception):
    """A stored secret can't be opened: it was sealed under another `WAYPOST_SECRET_KEY`, or it was damaged."""


class Vault:
    """Encrypts short texts with AES-256-GCM under a key derived from any string of 32 characters or more.

    A sealed text names its key by a short id, so that a key can be told from a wrong one, and later be rotated.
    """

    def __init__(self, secret_key: str) -> None:
        raw = HKDF(SHA256(), 32, salt=b"waypost", info=b"secrets at rest").derive(secret_key.encode())
        self._cipher = AESGCM(raw)
        self.key_id = hashlib.sha256(b"key id" + raw).hexdigest()[:8]

    def seal(self, text: str, nonce: bytes) -> str:
        """Encrypt a text; the nonce of 12 bytes must never be used twice."""
        if len(nonce) != _NONCE_BYTES:
            raise ValueError(f"a nonce has {_NONCE_BYTES} bytes")
        return f"{_SCHEME}:{self.key_id}:{(nonce + self._cipher.encrypt(nonce, text.encode(), None)).hex()}"

    def open(self, sealed: str) -> str:
        """Decrypt what `seal` made; raises `SealBroken`, whose text holds neither the secret nor the key."""
        scheme, _, rest = sealed.partition(":")
        key_id, _, payload = rest.partition(":")
        if scheme != _SCHEME or key_id != self.key_id:
            raise SealBroken(
                f"a stored secret was sealed under key {key_id or '?'}, but the key in use is {self.key_id}; "
                "set WAYPOST_SECRET_KEY (or restore the key file) as it was, or apply the tenant file again"
            )
        try:
            blob = bytes.fromhex(payload)
            return self._cipher.decrypt(blob[:_NONCE_BYTES], blob[_NONCE_BYTES:], None).decode()
        except (ValueError, InvalidTag):
            raise SealBroken("a stored secret is damaged; apply the tenant file again") from None
