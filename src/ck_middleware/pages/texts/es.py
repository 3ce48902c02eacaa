"""This file is the pages in Spanish."""

from typing import Final

from ck_middleware.pages.texts.text import Language, Text

AGAIN: Final = "Iniciar sesión de nuevo"
RETRY: Final = "Intentar de nuevo"
NOT_FINISHED: Final = "No se puede completar este inicio de sesión"
NOT_SIGNED_IN: Final = "No se ha podido iniciar su sesión"
NOT_NOW: Final = "El inicio de sesión no funciona en este momento"

SPANISH: Final = Language(
    tag="es",
    direction="ltr",
    app="esta aplicación",
    details="Código {code}, referencia {reference}",
    texts={
        "base_url_missing": Text(
            "En esta dirección no se puede iniciar sesión",
            "La aplicación no sabe que se accede a ella por esta dirección. Su responsable encontrará en el registro "
            "el ajuste que debe cambiar.",
            RETRY,
        ),
        "initiation_invalid": Text(
            "El inicio de sesión no ha comenzado",
            "El enlace que ha seguido indica un servicio de acceso que {app} no utiliza, o está incompleto.",
            "Iniciar sesión",
        ),
        "login_expired": Text(
            NOT_FINISHED,
            "Se empezó en otro navegador, ya se había completado o ha tardado demasiado. No pasa nada: solo tiene que "
            "empezar de nuevo.",
            AGAIN,
        ),
        "callback_invalid": Text(
            NOT_FINISHED, "La respuesta de la página de acceso está incompleta o ha sido alterada.", AGAIN
        ),
        "code_refused": Text(
            NOT_FINISHED, "La página de acceso ya no lo admite: se ha usado antes o es demasiado antiguo.", AGAIN
        ),
        "token_invalid": Text(
            NOT_SIGNED_IN,
            "La prueba de su identidad no se ha podido confirmar, así que no se ha iniciado ninguna sesión.",
            AGAIN,
        ),
        "access_denied": Text(
            "No ha iniciado sesión",
            "El acceso se ha denegado en la página de inicio de sesión. Puede cambiar de opinión cuando quiera.",
            AGAIN,
        ),
        "session_too_large": Text(
            NOT_SIGNED_IN,
            "Su perfil contiene más datos de los que {app} puede guardar. Su responsable encontrará la solución en el "
            "registro.",
            RETRY,
        ),
        "provider_faulty": Text(
            NOT_NOW, "El servicio de acceso ha dado una respuesta que no se puede utilizar.", RETRY
        ),
        "client_refused": Text(
            NOT_NOW,
            "El servicio de acceso no admite {app}. Su responsable encontrará en el registro los ajustes que debe "
            "revisar.",
            RETRY,
        ),
        "provider_unreachable": Text(
            NOT_NOW,
            "No se puede contactar con el servicio de acceso. Inténtelo de nuevo en unos instantes. Las sesiones "
            "abiertas siguen activas.",
            RETRY,
        ),
        "store_unavailable": Text(
            "Esta página no se puede mostrar en este momento",
            "Ahora mismo no se puede consultar quién ha iniciado sesión. No se ha cerrado ninguna sesión. Inténtelo "
            "de nuevo.",
        ),
        "path_refused": Text(
            "Esta dirección no es válida", "Está escrita de un modo que puede entenderse de dos maneras."
        ),
        "not_found": Text("Aquí no hay nada", "No hay ninguna página en esta dirección."),
        "method_not_allowed": Text("Esto no se puede hacer", "Esta dirección no admite este tipo de solicitud."),
        "cross_site": Text(
            "No se ha cerrado su sesión", "La solicitud procedía de otro sitio, por lo que no se ha llevado a cabo."
        ),
        "internal_error": Text(
            "Algo ha ido mal",
            "La solicitud no se ha llevado a cabo. El responsable encontrará más información en el registro.",
        ),
        "confirm_logout": Text(
            "¿Quiere cerrar la sesión?",
            "Para volver a usar {app}, tendrá que iniciar sesión de nuevo.",
            "Cerrar sesión",
        ),
        "signed_out": Text(
            "La sesión está cerrada", "Nadie ha iniciado sesión aquí en este navegador.", "Iniciar sesión"
        ),
    },
)
