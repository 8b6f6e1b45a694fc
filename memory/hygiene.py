"""What must not be remembered: secrets and numbers that pay. Pure.

Exchanges are kept without them (`masked`), facts that hold one are not kept at all (`is_secret`). It errs
on the side of hiding: a mark too many costs little, a remembered password much. What it knows are forms,
not meanings: a secret that looks like an ordinary word, with nothing said about it, passes.
"""

import re
from collections.abc import Callable, Iterator

MARK = "[removed]"

# Spaces and dashes that people and word processors put between groups of digits.
_GAP = r"[ \u00a0\u2009\u202f.\-\u2010-\u2015]?"
# 13 to 19 digits in a row or in groups; which of them are card numbers Luhn's sum decides.
_DIGITS = re.compile(rf"(?<![\w.])\d(?:{_GAP}\d){{12,18}}(?!\w)", re.ASCII)
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?:[ \u00a0-]?[A-Z0-9]){11,30}\b", re.IGNORECASE)

# Keys that say themselves what they are, by their issuers' documented prefixes; tokens; credentials in URLs.
_TOKENS = re.compile(
    r"""
      -----BEGIN\ [A-Z0-9 ]*PRIVATE\ KEY-----(?:.*?-----END\ [A-Z0-9 ]*PRIVATE\ KEY-----|.*)
    | \beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?
    | \b(?:sk|rk|pk)[-_](?:[A-Za-z]{2,12}[-_])*[A-Za-z0-9_-]{12,}
    | \bgh[pousr]_[A-Za-z0-9]{20,} | \bgithub_pat_\w{20,} | \bglpat-[\w-]{16,}
    | \bxox[a-z]-[\w-]{10,} | \bxapp-[\w-]{10,}
    | \b(?:AKIA|ASIA|AGPA|AIDA|AROA)[A-Z0-9]{12,}
    | \bAIza[\w-]{30,} | \bya29\.[\w-]{20,} | \bGOCSPX-[\w-]{20,}
    | \bSG\.[\w-]{16,}\.[\w-]{16,} | \b(?:hf|npm|dop_v1|shpat|shpss|whsec|gsk|pplx)[_-][A-Za-z0-9]{16,}
    | \bpypi-[\w-]{20,} | \bsq0[a-z]{3}-[\w-]{20,} | \bEAA[A-Za-z0-9]{30,}
    | \b[Bb]earer\s+[\w.~+/-]{12,}=*
    | \b[a-z][a-z0-9+.-]{1,20}://[^\s:/@]{1,100}:[^\s/@]{1,200}@
    """,
    re.VERBOSE | re.DOTALL,
)

# What people call a secret, in English and Spanish. Those before the bar are secrets whatever follows;
# the others are everyday words too.
_NAMES = (
    r"pass\s?word|passwd|passcode|pass\s?phrase|pwd|contraseña|contrasena|contraseñas"
    r"|api[\s_-]?key|secret[\s_-]?key|access[\s_-]?(?:key|token)|client[\s_-]?secret|auth[\s_-]?token"
    r"|private[\s_-]?key|clave\s(?:de\s(?:acceso|api)|secreta|privada)|clave[\s_-]?api"
    r"|cvv|cvc|cvv2|(?:one[\s-]?time|verification|security|2fa)\s?code|otp"
    r"|código\sde\s(?:verificación|seguridad|acceso)|codigo\sde\s(?:verificacion|seguridad|acceso)"
)
_EVERYDAY = r"pin|secret|token|clave|secreto|credentials?|credenciales?"
# Between the name and the secret: "password for the wifi is", "contraseña del wifi:". At most 5 words.
_BETWEEN = r"(?:\s+[^\s:=]{1,30}){0,5}?"
_ASSIGNED = re.compile(
    rf"(?<![^\W_])(?:{_NAMES}|{_EVERYDAY})\b[\"'`*]*{_BETWEEN}\s*(?::=|[:=]|->|=>|→)\s*"
    r"(?:(?P<quote>[\"'`«“])(?P<quoted>[^\n\"'`»”]{2,200})[\"'`»”]|[\"'`«“*]*(?P<secret>[^\s\"'`»”]{2,200}))",
    re.IGNORECASE,
)
_SAID = re.compile(
    rf"(?<![^\W_])(?:{_NAMES}|{_EVERYDAY})\b[\"'`]*{_BETWEEN}"
    r"\s+(?:is|are|was|be|to|es|era|será|son|now\sis|sigue\ssiendo)\s+"
    r"(?:now\s+|still\s+|ahora\s+|set\s+to\s+)?(?P<quote>[\"'`«“])?(?P<secret>[^\s\"'`»”]{2,200})"
    r"(?P<end>\s*(?:[.,;!?)]|$|\n|and\b|but\b|y\b|pero\b))?",
    re.IGNORECASE | re.MULTILINE,
)
# Long runs of letters and digits that no word is: hexadecimal or base64 of at least 128 bits.
_RANDOM = re.compile(r"(?<![A-Za-z0-9+=])[A-Za-z0-9+]{28,500}={0,2}(?![A-Za-z0-9+=])")


def masked(text: str) -> str:
    """The text with MARK in place of each secret. Applied twice it changes nothing more."""
    for find in _FINDERS:
        pieces: list[str] = []
        at = 0
        for start, end in find(text):
            if start < at or text[start:end] == MARK:
                continue
            pieces += [text[at:start], MARK]
            at = end
        if pieces:
            text = "".join([*pieces, text[at:]])
    return text


def is_secret(text: str) -> bool:
    """Whether the text holds anything that must not be remembered, or did before it was masked."""
    return MARK in text or masked(text) != text


def _tokens(text: str) -> Iterator[tuple[int, int]]:
    return (match.span() for match in _TOKENS.finditer(text))


def _assigned(text: str) -> Iterator[tuple[int, int]]:
    for match in _ASSIGNED.finditer(text):
        group = "quoted" if match["quoted"] else "secret"
        if MARK not in match[group]:
            yield match.span(group)


def _said(text: str) -> Iterator[tuple[int, int]]:
    """ "My password is swordfish." but not "The password is stored in the vault"."""
    for match in _SAID.finditer(text):
        secret = match["secret"].rstrip(".,;!?)")
        if len(secret) < 2 or MARK in match["secret"]:
            continue
        start = match.start("secret")
        everyday = re.match(rf"(?:{_EVERYDAY})\b", match[0], re.IGNORECASE)
        telling = match["quote"] or _looks_made(secret)
        if telling or (not everyday and (match["end"] or match["secret"] != secret)):
            yield start, start + len(secret)


def _looks_made(word: str) -> bool:
    """Whether a word is of the kind that passwords are: digits or signs in it, capitals inside."""
    inner = word[1:]
    return (
        any(c.isdigit() for c in word)
        or bool(re.search(r"[^\w\s'’-]", word))
        or (inner != inner.lower() and inner != inner.upper())
    )


def _cards(text: str) -> Iterator[tuple[int, int]]:
    for match in _DIGITS.finditer(text):
        digits = [int(c) for c in match[0] if c.isdigit()]
        # ISO/IEC 7812: payment cards begin with 2 to 6.
        if 2 <= digits[0] <= 6 and _luhn(digits):
            yield match.span()


def _luhn(digits: list[int]) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = digit * 2 if place % 2 else digit
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0


def _ibans(text: str) -> Iterator[tuple[int, int]]:
    """ISO 13616: moved around and read as a number, it leaves 1 over 97. The words after it are not its."""
    for match in _IBAN.finditer(text):
        for end in range(match.end(), match.start() + 14, -1):
            cut = end < match.end() and text[end].isalnum()
            if cut or not text[end - 1].isalnum():
                continue
            plain = re.sub(r"[\s\u00a0-]", "", text[match.start() : end]).upper()
            if 15 <= len(plain) <= 34 and _iban(plain):
                yield match.start(), end
                break


def _iban(plain: str) -> bool:
    return int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1


def _random(text: str) -> Iterator[tuple[int, int]]:
    for match in _RANDOM.finditer(text):
        run = match[0].rstrip("=")
        digits = sum(c.isdigit() for c in run)
        cased = min(sum(c.isupper() for c in run), sum(c.islower() for c in run))
        # A long number is none of ours, and a long word has no digits.
        if 0 < digits < len(run) and (digits >= 3 or cased >= 5) and len(set(run)) >= 10:
            yield match.span()


_FINDERS: tuple[Callable[[str], Iterator[tuple[int, int]]], ...] = (
    _tokens,
    _assigned,
    _said,
    _cards,
    _ibans,
    _random,
)
