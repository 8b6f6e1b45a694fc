"""Spanish is complete: what the sources say is translated, and what is compiled is what was translated."""

import ast
import gettext
import html
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.utils.translation import ngettext, override
from django.utils.translation.template import templatize
from msgspec import Struct

from chat.portal.texts import texts
from konstruct.tenancy.models import User
from tests.portal.conftest import Place
from tests.portal.test_pages import page_data

ROOT = Path(settings.BASE_DIR)
SOURCE = ROOT / "locale/es/LC_MESSAGES/django.po"
ROOMS = ("agents", "chat", "konstruct", "memory")
# How many of the arguments of each are sentences to translate.
CALLS = {"_": 1, "gettext": 1, "gettext_lazy": 1, "gettext_noop": 1, "ngettext": 2, "ngettext_lazy": 2}
TEMPLATE_CALL = re.compile(r"""\b(_|n?gettext)\(((?:\s*u?(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')\s*,?)+)""")
PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|%[a-z]|\{\w+\}|</?\w+>")


class Entry(Struct):
    msgid: str = ""
    plural: str | None = None
    translations: tuple[str, ...] = ()
    is_fuzzy: bool = False


def entries() -> dict[str, Entry]:
    """What the .po says, by msgid; its head is under the empty one. There are no contexts in it."""
    found = {}
    for block in re.split(r"\n{2,}", SOURCE.read_text(encoding="utf-8").strip()):
        lines = [line for line in block.splitlines() if not line.startswith("#~")]
        fields: dict[str, str] = {}
        name = ""
        for line in (line for line in lines if not line.startswith("#")):
            if not line.startswith('"'):
                name, _, line = line.partition(" ")
            fields[name] = fields.get(name, "") + ast.literal_eval(line)
        if not fields:
            continue
        assert set(fields) <= {"msgid", "msgid_plural", "msgstr", "msgstr[0]", "msgstr[1]", "msgstr[2]"}
        translations = tuple(text for name, text in fields.items() if name.startswith("msgstr"))
        is_fuzzy = any(line.startswith("#,") and "fuzzy" in line for line in lines)
        assert fields["msgid"] not in found
        found[fields["msgid"]] = Entry(fields["msgid"], fields.get("msgid_plural"), translations, is_fuzzy)
    return found


def said_in_python(path: Path) -> set[tuple[str, ...]]:
    said = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", None) or getattr(node.func, "attr", "")
        # A name that ends like one of them but is none would go unseen here.
        assert name in CALLS or "gettext" not in name, f"{path}:{node.lineno} calls {name}"
        if name in CALLS:
            sentences = [getattr(argument, "value", None) for argument in node.args[: CALLS[name]]]
            assert all(isinstance(s, str) for s in sentences), f"{path}:{node.lineno} is not a literal"
            said.add(tuple(map(str, sentences)))
    return said


def said_in_template(path: Path) -> set[tuple[str, ...]]:
    said = set()
    for name, arguments in TEMPLATE_CALL.findall(templatize(path.read_text(encoding="utf-8"))):
        sentences = ast.literal_eval(f"({arguments.strip().rstrip(',')},)")
        said.add(sentences[: CALLS[name]])
    return said


def said() -> dict[Path, set[tuple[str, ...]]]:
    """By file, each sentence to translate, with its plural where it has one."""
    python = {path: said_in_python(path) for room in ROOMS for path in (ROOT / room).rglob("*.py")}
    templates = {path: said_in_template(path) for path in (ROOT / "templates").rglob("*.html")}
    return {path: found for path, found in (python | templates).items() if found}


def test_every_sentence_is_translated() -> None:
    assert [e.msgid for e in entries().values() if e.is_fuzzy or not all(e.translations)] == []
    assert {len(e.translations) for e in entries().values() if e.plural} == {3}


def test_translations_have_the_placeholders_of_what_they_translate() -> None:
    for entry in entries().values():
        wanted = sorted(PLACEHOLDER.findall(entry.msgid))
        for translation in entry.translations:
            assert sorted(PLACEHOLDER.findall(translation)) == wanted, entry.msgid


def test_what_is_compiled_is_what_is_written() -> None:
    with SOURCE.with_suffix(".mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
    wanted: dict[object, str] = {}
    for entry in entries().values():
        if entry.plural is None:
            wanted[entry.msgid] = entry.translations[0]
        else:
            wanted |= {(entry.msgid, n): text for n, text in enumerate(entry.translations)}
    assert compiled == wanted, "scripts/messages compiles anew"


def test_whatever_the_sources_say_is_there_to_be_translated() -> None:
    known = {(e.msgid,) if e.plural is None else (e.msgid, e.plural) for e in entries().values()}
    found = said()
    missing = {str(path.relative_to(ROOT)): sentences - known for path, sentences in found.items()}
    assert {path: s for path, s in missing.items() if s} == {}, "scripts/messages extracts anew"
    # Nor is anything left of what no source says any more: this reader saw what xgettext saw.
    assert known - set().union(*found.values()) == {("",)}, "scripts/messages extracts anew"


def test_the_start_page_is_in_spanish(here: Place) -> None:
    User.objects.filter(id=here.user.id).update(language="es")
    page = html.unescape(here.client.get("/", headers={"Accept-Language": "en"}).content.decode())
    assert '<html lang="es"' in page
    assert f"<h1>Hola, {here.user.name}.</h1>" in page
    for word in ("¿Con quién quieres hablar?", "Buscar conversaciones", "Mi cuenta", "Cerrar sesión"):
        assert word in page
    for word in ("Hello", "Who would you", "Search conversations", "My account", "Sign out"):
        assert word not in page


def test_the_front_end_gets_its_sentences_in_spanish(here: Place) -> None:
    User.objects.filter(id=here.user.id).update(language="es")
    data = page_data(here.client.get(f"/c/{here.conversation_id}").content.decode())
    with override("en"):
        english = texts()
    spanish = data["texts"]
    assert isinstance(spanish, dict) and spanish.keys() == english.keys()
    assert spanish["message_to"] == "Escribe a {name}"
    assert spanish["memory_word_off"] == "Memoria desactivada"


@pytest.mark.parametrize(
    ("count", "ending"), [(0, "%d empleados."), (1, "%d empleado."), (2, "%d empleados.")]
)
def test_one_is_not_many(count: int, ending: str) -> None:
    with override("es"):
        said = ngettext("%d employee is retired.", "%d employees are retired.", count)
    assert said.endswith(ending)
