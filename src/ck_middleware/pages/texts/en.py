"""This file is the pages in English. Its titles are also the `error` of answers for programs."""

from typing import Final

from ck_middleware.pages.texts.text import Language, Text

AGAIN: Final = "Sign in again"
RETRY: Final = "Try again"
NOT_FINISHED: Final = "This sign-in cannot be finished"
NOT_SIGNED_IN: Final = "You could not be signed in"
NOT_NOW: Final = "Signing in does not work right now"

ENGLISH: Final = Language(
    tag="en",
    direction="ltr",
    app="this app",
    details="Code {code}, reference {reference}",
    texts={
        "base_url_missing": Text(
            "This address is not set up for signing in",
            "The app does not know that it is reached at this address. Its owner finds the setting to change in the "
            "log.",
            RETRY,
        ),
        "initiation_invalid": Text(
            "This sign-in was not begun",
            "The link that led here asks for a sign-in service that {app} does not use, or is not complete.",
            "Sign in",
        ),
        "login_expired": Text(
            NOT_FINISHED,
            "It was begun in another browser, was finished before, or took too long. Nothing is wrong; just start "
            "again.",
            AGAIN,
        ),
        "callback_invalid": Text(NOT_FINISHED, "What came back from the sign-in page is incomplete or changed.", AGAIN),
        "code_refused": Text(NOT_FINISHED, "The sign-in page no longer accepts it: used before, or too old.", AGAIN),
        "token_invalid": Text(NOT_SIGNED_IN, "The proof of who you are did not hold, so nobody was signed in.", AGAIN),
        "access_denied": Text(
            "You are not signed in", "Access was denied at the sign-in page. You can change your mind.", AGAIN
        ),
        "session_too_large": Text(
            NOT_SIGNED_IN,
            "There is more in your profile than {app} can keep. Its owner finds the remedy in the log.",
            RETRY,
        ),
        "provider_faulty": Text(NOT_NOW, "The sign-in service gave an answer that cannot be used.", RETRY),
        "client_refused": Text(
            NOT_NOW,
            "The sign-in service does not accept {app}. Its owner finds the settings to check in the log.",
            RETRY,
        ),
        "provider_unreachable": Text(
            NOT_NOW,
            "The sign-in service cannot be reached. Please try again in a moment; whoever is signed in stays so.",
            RETRY,
        ),
        "store_unavailable": Text(
            "This page cannot be shown right now",
            "Who is signed in cannot be looked up at the moment. Nobody was signed out; please try again.",
        ),
        "path_refused": Text("This address is not valid", "It is spelled in a way that could mean two things."),
        "not_found": Text("Nothing here", "There is no page at this address."),
        "method_not_allowed": Text("This cannot be done", "The address does not take this kind of request."),
        "cross_site": Text("You were not signed out", "The request came from another site, so it was not carried out."),
        "internal_error": Text(
            "Something went wrong", "The request was not carried out. The owner finds more in the log."
        ),
        "confirm_logout": Text("Sign out?", "You will have to sign in again to come back to {app}.", "Sign out"),
        "signed_out": Text("You are signed out", "Nobody is signed in here in this browser.", "Sign in"),
    },
)
