"""This file is the pages in German."""

from typing import Final

from ck_middleware.pages.texts.text import Language, Text

AGAIN: Final = "Erneut anmelden"
RETRY: Final = "Erneut versuchen"
NOT_FINISHED: Final = "Diese Anmeldung lässt sich nicht abschließen"
NOT_SIGNED_IN: Final = "Sie konnten nicht angemeldet werden"
NOT_NOW: Final = "Die Anmeldung funktioniert gerade nicht"

GERMAN: Final = Language(
    tag="de",
    direction="ltr",
    app="diese App",
    details="Code {code}, Referenz {reference}",
    texts={
        "base_url_missing": Text(
            "Unter dieser Adresse ist keine Anmeldung eingerichtet",
            "Die App weiß nicht, dass sie unter dieser Adresse erreichbar ist. Welche Einstellung zu ändern ist, "
            "finden ihre Betreiber im Protokoll.",
            RETRY,
        ),
        "initiation_invalid": Text(
            "Die Anmeldung wurde nicht begonnen",
            "Der Link, der hierher geführt hat, nennt einen Anmeldedienst, den {app} nicht nutzt, oder ist "
            "unvollständig.",
            "Anmelden",
        ),
        "login_expired": Text(
            NOT_FINISHED,
            "Sie wurde in einem anderen Browser begonnen, war schon abgeschlossen oder hat zu lange gedauert. Es ist "
            "nichts passiert: Beginnen Sie einfach noch einmal.",
            AGAIN,
        ),
        "callback_invalid": Text(
            NOT_FINISHED, "Die Antwort der Anmeldeseite ist unvollständig oder wurde verändert.", AGAIN
        ),
        "code_refused": Text(
            NOT_FINISHED,
            "Die Anmeldeseite nimmt sie nicht mehr an: Sie wurde schon verwendet oder ist zu alt.",
            AGAIN,
        ),
        "token_invalid": Text(
            NOT_SIGNED_IN,
            "Der Nachweis, wer Sie sind, ließ sich nicht bestätigen. Deshalb wurde niemand angemeldet.",
            AGAIN,
        ),
        "access_denied": Text(
            "Sie sind nicht angemeldet",
            "Auf der Anmeldeseite wurde der Zugriff abgelehnt. Sie können es sich jederzeit anders überlegen.",
            AGAIN,
        ),
        "session_too_large": Text(
            NOT_SIGNED_IN,
            "Ihr Profil enthält mehr, als {app} speichern kann. Was zu tun ist, finden die Betreiber im Protokoll.",
            RETRY,
        ),
        "provider_faulty": Text(
            NOT_NOW, "Der Anmeldedienst hat eine Antwort gegeben, mit der sich nichts anfangen lässt.", RETRY
        ),
        "client_refused": Text(
            NOT_NOW,
            "Der Anmeldedienst akzeptiert {app} nicht. Welche Einstellungen zu prüfen sind, finden die Betreiber im "
            "Protokoll.",
            RETRY,
        ),
        "provider_unreachable": Text(
            NOT_NOW,
            "Der Anmeldedienst ist nicht erreichbar. Bitte versuchen Sie es gleich noch einmal. Wer angemeldet ist, "
            "bleibt es.",
            RETRY,
        ),
        "store_unavailable": Text(
            "Diese Seite lässt sich gerade nicht anzeigen",
            "Im Moment lässt sich nicht nachsehen, wer angemeldet ist. Niemand wurde abgemeldet. Bitte versuchen Sie "
            "es noch einmal.",
        ),
        "path_refused": Text(
            "Diese Adresse ist ungültig", "Sie ist so geschrieben, dass sie zweierlei bedeuten könnte."
        ),
        "not_found": Text("Hier ist nichts", "Unter dieser Adresse gibt es keine Seite."),
        "method_not_allowed": Text("Das ist hier nicht möglich", "Diese Adresse nimmt solche Anfragen nicht an."),
        "cross_site": Text(
            "Sie wurden nicht abgemeldet",
            "Die Anfrage kam von einer anderen Website und wurde deshalb nicht ausgeführt.",
        ),
        "internal_error": Text(
            "Etwas ist schiefgegangen",
            "Die Anfrage wurde nicht ausgeführt. Mehr dazu finden die Betreiber im Protokoll.",
        ),
        "confirm_logout": Text(
            "Möchten Sie sich abmelden?", "Um {app} wieder zu nutzen, müssen Sie sich dann neu anmelden.", "Abmelden"
        ),
        "signed_out": Text("Sie sind abgemeldet", "In diesem Browser ist hier niemand angemeldet.", "Anmelden"),
    },
)
