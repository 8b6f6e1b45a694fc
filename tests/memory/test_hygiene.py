"""Secrets are not remembered, and ordinary talk is."""

import pytest

from memory.hygiene import MARK, is_secret, masked

JWT = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0"
    ".dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
)


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("my card is 4111 1111 1111 1111, exp 12/27", "4111 1111 1111 1111"),
        ("5500-0000-0000-0004", "5500-0000-0000-0004"),
        ("tarjeta 378282246310005.", "378282246310005"),
        ("4111\u00a01111\u00a01111\u00a01111", "4111\u00a01111\u00a01111\u00a01111"),
        ("ES91 2100 0418 4502 0005 1332 es mi cuenta", "ES91 2100 0418 4502 0005 1332"),
        ("pay to DE89370400440532013000 today", "DE89370400440532013000"),
        ("gb82 west 1234 5698 7654 32", "gb82 west 1234 5698 7654 32"),
        ("my password is swordfish.", "swordfish"),
        ("My password is hunter2 and I like it", "hunter2"),
        ("my password has changed to Tiger-99", "Tiger-99"),
        ("the wifi password for the Girona office is: Gaudi2026!", "Gaudi2026!"),
        ("la contraseña del wifi es Gaudi2026", "Gaudi2026"),
        ("contraseña: perro", "perro"),
        ('password = "two words"', "two words"),
        ("DB_PASSWORD=abc123", "abc123"),
        ("my PIN is 4821", "4821"),
        ("mi clave es perro123", "perro123"),
        ("The verification code is 993311", "993311"),
        ("api key: abcd", "abcd"),
        ("use sk-proj-abcDEF123456789xyz please", "sk-proj-abcDEF123456789xyz"),
        ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "ghp_abcdefghijklmnopqrstuvwxyz0123456789"),
        ("AKIAIOSFODNN7EXAMPLE is it", "AKIAIOSFODNN7EXAMPLE"),
        (f"the header was {JWT}", JWT),
        ("Authorization: Bearer abcdefghijklmnop1234", "abcdefghijklmnop1234"),
        ("postgres://admin:s3cret@db.example.com/x", "s3cret"),
        ("d41d8cd98f00b204e9800998ecf8427e", "d41d8cd98f00b204e9800998ecf8427e"),
        ("wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY", "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAK\n-----END RSA PRIVATE KEY-----\nthat was it",
            "MIIEow",
        ),
        ("cut off: -----BEGIN PRIVATE KEY-----\nMIIEow", "MIIEow"),
    ],
)
def test_a_secret_is_masked_and_no_fact(text: str, secret: str) -> None:
    assert secret not in masked(text)
    assert MARK in masked(text)
    assert is_secret(text)
    assert masked(masked(text)) == masked(text)


def test_what_stands_around_a_secret_stays() -> None:
    assert masked("my card is 4111 1111 1111 1111, exp 12/27") == f"my card is {MARK}, exp 12/27"
    assert masked("la contraseña del wifi es Gaudi2026, ¿vale?").endswith(", ¿vale?")
    assert masked("ES91 2100 0418 4502 0005 1332 es mi cuenta") == f"{MARK} es mi cuenta"


@pytest.mark.parametrize(
    "text",
    [
        "The password is stored in the vault",
        "Passwords are rotated monthly",
        "I forgot my password, can you help?",
        "I am allergic to peanuts",
        "call me at +34 612 345 678",
        "Invoice 2026-0042 of 12,500.00 EUR",
        "order number 1234567890123456",
        "order 4111 1111 1111 1112 is late",
        "la clave es la paciencia",
        "The key to success is patience",
        "the secret is out",
        "A small token of appreciation",
        "123e4567-e89b-12d3-a456-426614174000",
        "https://example.com/docs/architecture/overview",
        "supercalifragilisticexpialidocious",
        "ES91 2100 0418 4502 0005 1333 has a wrong check digit",
        "The meeting is on 2026-11-24 at 10:00",
    ],
)
def test_ordinary_talk_stays_as_it_is(text: str) -> None:
    assert masked(text) == text
    assert not is_secret(text)


def test_what_was_masked_is_no_fact_either() -> None:
    assert is_secret(f"The user's password is {MARK}.")


@pytest.mark.parametrize(
    "hard",
    ["password ", "password is ", "1 ", "1234 ", "ES12 ", "A0 ", "eyJ", "key: ", "a://", "a", "=-> "],
)
def test_no_text_makes_the_search_explode(hard: str) -> None:
    """With a pattern that backtracks without bound this would not end."""
    once = masked((hard * 32_000)[:32_000])
    assert masked(once) == once
