"""Secrets are sealed with a key and open only under it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.gateway.vault import SealBroken, Vault

NONCE = bytes(range(12))
VAULT = Vault("k" * 32)


@given(st.text(), st.binary(min_size=12, max_size=12))
def test_what_is_sealed_opens_again_and_does_not_show(text: str, nonce: bytes) -> None:
    sealed = VAULT.seal(text, nonce)
    assert VAULT.open(sealed) == text
    assert len(text) < 4 or text not in sealed


def test_another_key_does_not_open_it_and_is_named() -> None:
    other = Vault("l" * 32)
    with pytest.raises(SealBroken, match=f"sealed under key {VAULT.key_id}, but the key in use is {other.key_id}"):
        other.open(VAULT.seal("secret", NONCE))


@pytest.mark.parametrize("damaged", ["", "plain", f"sealed1:{VAULT.key_id}:", f"sealed1:{VAULT.key_id}:zz"])
def test_damage_is_told(damaged: str) -> None:
    with pytest.raises(SealBroken):
        VAULT.open(damaged)


def test_one_changed_digit_is_told() -> None:
    sealed = VAULT.seal("secret", NONCE)
    changed = sealed[:-1] + ("0" if sealed[-1] != "0" else "1")
    with pytest.raises(SealBroken, match="damaged"):
        VAULT.open(changed)


def test_a_nonce_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="12"):
        VAULT.seal("secret", b"short")
