"""The sentences that the front end's modules show, translated here and sent along with the page."""

from django.utils.translation import gettext as _


def texts() -> dict[str, str]:
    """By name, in the reader's language. `{name}` and its like are filled in by the browser."""
    return {
        "you": _("You"),
        "employee": _("Employee"),
        "untitled": _("New conversation"),
        "today": _("Today"),
        "yesterday": _("Yesterday"),
        "week": _("Previous 7 days"),
        "older": _("Older"),
        "no_conversations": _("No conversations yet."),
        "nothing_found": _("Nothing found."),
        "load_failed": _("This could not be loaded. Please try again."),
        "message_to": _("Message {name}"),
        "connecting": _("Connecting…"),
        "offline": _("Connection lost. Trying again…"),
        "offline_in": _("Connection lost. Trying again in {seconds} s."),
        "crowded": _("You have too many connections open. Trying again in {seconds} s."),
        "withdrawn": _("You no longer have access here. Please sign in again."),
        "gone": _("This conversation no longer exists."),
        "sign_in": _("Sign in"),
        "home": _("Go to the start page"),
        "retry": _("Try now"),
        "sending": _("Sending…"),
        "waiting": _("Will be sent once the connection is back."),
        "writing": _("{name} is writing"),
        "answered": _("{name} has answered."),
        "stopped": _("Stopped."),
        "failed": _("The answer failed."),
        "interrupted": _("The server stopped before this answer was finished."),
        "length": _("The answer reached its greatest length."),
        "busy": _("An answer is being written. Wait for it, or stop it."),
        "wait": _("Please wait {seconds} s."),
        "too_long": _("This message is too long: {count} characters, {limit} are allowed."),
        "too_big": _("This message is too large to be sent. Please shorten it."),
        "copy": _("Copy"),
        "copied": _("Copied"),
        "not_copied": _("Copying failed"),
        "image": _("Image: {name}"),
        "task_done": _("Done:"),
        "task_open": _("To do:"),
        "rename_failed": _("The title could not be changed."),
        "delete_failed": _("The conversation could not be deleted."),
    }
