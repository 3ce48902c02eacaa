"""What is sealed opens for its purpose, client and name, and as it was; what is signed is not forged."""

import base64
import hmac

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ck_middleware.seal import AHEAD, LARGEST, Seal, Signature, derive
from support.clock import Clock

ONE, TWO, THREE = "1" * 32, "2" * 32, "3" * 32


def seal(*secrets: str, purpose: str = "session", client: str = "ck_a") -> Seal:
    return Seal(secrets or (ONE,), purpose=purpose, client=client)


def signature(*secrets: str, purpose: str = "logout", client: str = "ck_a") -> Signature:
    return Signature(secrets or (ONE,), purpose=purpose, client=client)


def hkdf(secret: str, info: bytes) -> bytes:
    """The first 32 bytes of RFC 5869, spelled out."""
    extracted = hmac.digest(bytes(32), secret.encode(), "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


def test_a_key_is_derived_as_rfc_5869_says_from_purpose_and_client() -> None:
    key = derive(ONE, purpose="session", client="ck_a")
    assert key == hkdf(ONE, b"ck-middleware 1\x00session\x00ck_a")
    others = [derive(ONE, purpose="login", client="ck_a"), derive(ONE, purpose="session", client="ck_b")]
    assert len({key, *others, derive(TWO, purpose="session", client="ck_a")}) == 4


@pytest.mark.parametrize("plain", [b"x", b"\x00" * 16, "Zoë".encode(), bytes(range(256)), b"x" * 3000])
def test_what_was_sealed_opens(plain: bytes) -> None:
    assert seal().open(seal().seal(plain, name="s").encode(), name="s") == plain


def test_a_seal_is_aes_256_gcm_under_the_key_of_its_purpose_and_bound_to_it() -> None:
    sealed = base64.urlsafe_b64decode(seal().seal(b"x", name="s") + "==")
    cipher = AESGCM(derive(ONE, purpose="session", client="ck_a"))
    assert cipher.decrypt(sealed[:12], sealed[12:], b"ck-middleware 1\x00session\x00s") == b"x"


def test_a_seal_opens_whatever_its_length_and_its_last_character() -> None:
    for length in range(600):
        plain = bytes(length % 50)
        assert seal().open(seal().seal(plain, name="s").encode(), name="s") == plain


def test_a_seal_hides_what_is_in_it() -> None:
    value = seal().seal(b"a well known secret", name="s")
    assert b"secret" not in base64.urlsafe_b64decode(value + "==")


def test_two_seals_of_the_same_differ() -> None:
    assert seal().seal(b"x", name="s") != seal().seal(b"x", name="s")


def test_a_seal_is_made_of_what_a_cookie_may_hold() -> None:
    value = seal().seal(bytes(range(256)), name="s")
    assert all(char.isascii() and (char.isalnum() or char in "-_") for char in value)


@pytest.mark.parametrize(
    ("opener", "name"),
    [
        (seal(purpose="login"), "s"),
        (seal(purpose="Session"), "s"),
        (seal(client="ck_b"), "s"),
        (seal(TWO), "s"),
        (seal(), "t"),
        (seal(), ""),
        (seal(), "__Host-s"),
    ],
)
def test_a_seal_opens_for_no_other_purpose_client_secret_or_name(opener: Seal, name: str) -> None:
    value = seal().seal(b"x", name="s").encode()
    assert opener.open(value, name=name) is None
    assert seal().open(value, name="s") == b"x"


def test_where_one_part_ends_and_the_next_begins_is_bound_too() -> None:
    value = seal(purpose="session", client="a").seal(b"x", name="s").encode()
    assert seal(purpose="session\0a", client="").open(value, name="s") is None
    assert seal(purpose="sessio", client="na").open(value, name="s") is None


def test_every_single_change_is_refused() -> None:
    value = seal().seal(b"claims", name="s").encode()
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for place, right in enumerate(value):
        for char in alphabet:
            changed = value[:place] + bytes([char]) + value[place + 1 :]
            assert (seal().open(changed, name="s") is None) == (char != right), place


def test_every_cut_and_addition_is_refused() -> None:
    value = seal().seal(b"claims", name="s").encode()
    for length in range(len(value)):
        assert seal().open(value[:length], name="s") is None
    for more in (b"A", b"=", b"==", b" ", b"\n", value):
        assert seal().open(value + more, name="s") is None
        assert seal().open(more + value, name="s") is None


def test_a_value_has_one_spelling() -> None:
    plain = b"1"  # 29 bytes sealed: the last character carries bits that count for nothing
    value = seal().seal(plain, name="s").encode()
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    same = [
        value[:-1] + bytes([char])
        for char in alphabet
        if base64.urlsafe_b64decode(value[:-1] + bytes([char]) + b"=") == base64.urlsafe_b64decode(value + b"=")
    ]
    assert len(same) > 1
    assert [spelling for spelling in same if seal().open(spelling, name="s")] == [value]
    for stray in (b"!", b" ", b"\xff", b"\x00", b"."):
        assert seal().open(value[:5] + stray + value[5:], name="s") is None
    assert seal().open(value.replace(b"-", b"+").replace(b"_", b"/") + b"=", name="s") is None


@pytest.mark.parametrize("value", [b"", b"A", b"AAAA", b"A" * 28, b"A" * 41, b"\xff" * 40, b"A" * 40, b"A" * 1_000_000])
def test_what_is_no_seal_is_nothing(value: bytes) -> None:
    assert seal().open(value, name="s") is None


def test_the_largest_value_that_opens_is_what_a_browser_keeps() -> None:
    fits = seal().seal(b"x" * (LARGEST * 3 // 4 - 28), name="s").encode()
    assert len(fits) == LARGEST
    assert seal().open(fits, name="s") is not None
    assert seal().open(seal().seal(b"x" * (LARGEST * 3 // 4 - 27), name="s").encode(), name="s") is None


def test_the_first_secret_seals_and_all_of_them_open() -> None:
    old = seal(ONE).seal(b"old", name="s").encode()
    new = seal(TWO, ONE).seal(b"new", name="s").encode()
    assert seal(TWO, ONE).open(old, name="s") == b"old"
    assert seal(THREE, TWO, ONE).open(old, name="s") == b"old"
    assert seal(TWO).open(new, name="s") == b"new"
    assert seal(ONE).open(new, name="s") is None
    assert seal(TWO).open(old, name="s") is None


def test_a_signature_is_hmac_sha256_under_the_key_of_its_purpose() -> None:
    value, _, found = signature().sign("form.abc").rpartition(".")
    key = derive(ONE, purpose="logout", client="ck_a")
    right = base64.urlsafe_b64encode(hmac.digest(key, value.encode(), "sha256")).rstrip(b"=").decode()
    assert found == right


def test_a_text_of_our_own_signature_is_verified() -> None:
    assert signature().verify(signature().sign("form.abc"), max_age=60) == "form.abc"
    assert signature().verify(signature().sign("a.b.c"), max_age=60) == "a.b.c"


def test_every_single_change_of_a_signed_text_is_refused() -> None:
    signed = signature().sign("form.abc")
    for place, right in enumerate(signed):
        changed = signed[:place] + ("A" if right != "A" else "B") + signed[place + 1 :]
        assert signature().verify(changed, max_age=60) is None, place


def test_a_signed_text_has_one_spelling() -> None:
    """Its signature used to be read with foreign characters in it, and with any last bits."""
    signed = signature().sign("form.abc")
    start = signed.rindex(".") + 1
    for place in (start, start + 5, len(signed)):
        for stray in ("\r\n", "!", " ", "=", "\xff", "\ud800"):
            assert signature().verify(signed[:place] + stray + signed[place:], max_age=60) is None
    spelled = [signed[:-1] + char for char in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"]
    assert [one for one in spelled if signature().verify(one, max_age=60)] == [signed]


@pytest.mark.parametrize("signed", ["", ".", "a", "a.b.c", "\ud800", "é.é.é", "x" * 100_000])
def test_what_is_not_signed_is_nothing(signed: str) -> None:
    assert signature().verify(signed, max_age=60) is None


@pytest.mark.parametrize("verifier", [signature(purpose="session"), signature(client="ck_b"), signature(TWO)])
def test_a_signature_holds_for_no_other_purpose_client_or_secret(verifier: Signature) -> None:
    signed = signature().sign("x")
    assert verifier.verify(signed, max_age=60) is None
    assert signature().verify(signed, max_age=60) == "x"


def test_a_signature_has_its_time(clock: Clock) -> None:
    signed = signature().sign("x")
    clock.move(60)
    assert signature().verify(signed, max_age=60) == "x"
    clock.move(1)
    assert signature().verify(signed, max_age=60) is None


def test_a_signature_of_a_machine_whose_clock_is_a_little_ahead_holds(clock: Clock) -> None:
    signed = signature().sign("x")
    clock.move(-AHEAD)
    assert signature().verify(signed, max_age=60) == "x"
    clock.move(-1)
    assert signature().verify(signed, max_age=60) is None


def test_the_first_secret_signs_and_all_of_them_verify() -> None:
    old, new = signature(ONE).sign("old"), signature(TWO, ONE).sign("new")
    assert signature(TWO, ONE).verify(old, max_age=60) == "old"
    assert signature(TWO).verify(new, max_age=60) == "new"
    assert signature(ONE).verify(new, max_age=60) is None
    assert signature(TWO).verify(old, max_age=60) is None
