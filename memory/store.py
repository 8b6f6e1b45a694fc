"""The long memory, all that can be done with it; each part's rules are in its own module.

Synchronous and keyword-only, atomic, run inside a workspace. Reading for a prompt is `memory.recall`.
"""

from memory.forgetting import (
    employee_removed,
    forget,
    forget_all,
    forget_conversation,
    person_removed,
)
from memory.notes import add_note, attach_vector, edit
from memory.pages import count_of_conversation, counts, counts_by_agent, get, get_many, page
from memory.policy import policy, set_policy
from memory.remembering import known_facts, remember_exchange, remember_facts
from memory.switches import is_off, offs, set_off

__all__ = [
    "add_note",
    "attach_vector",
    "count_of_conversation",
    "counts",
    "counts_by_agent",
    "edit",
    "employee_removed",
    "forget",
    "forget_all",
    "forget_conversation",
    "get",
    "get_many",
    "is_off",
    "known_facts",
    "offs",
    "page",
    "person_removed",
    "policy",
    "remember_exchange",
    "remember_facts",
    "set_off",
    "set_policy",
]
