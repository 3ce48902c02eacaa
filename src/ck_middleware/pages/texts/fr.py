"""This file is the pages in French. A space that is not broken stands before some signs."""

from typing import Final

from ck_middleware.pages.texts.text import Language, Text

AGAIN: Final = "Se connecter à nouveau"
RETRY: Final = "Réessayer"
NOT_FINISHED: Final = "Cette connexion ne peut pas aboutir"
NOT_SIGNED_IN: Final = "La connexion a échoué"
NOT_NOW: Final = "La connexion ne fonctionne pas pour le moment"

FRENCH: Final = Language(
    tag="fr",
    direction="ltr",
    app="cette application",
    details="Code {code}, référence {reference}",
    texts={
        "base_url_missing": Text(
            "La connexion n’est pas configurée à cette adresse",
            "L’application ne sait pas qu’elle est accessible à cette adresse. Son responsable trouvera dans le "
            "journal le réglage à modifier.",
            RETRY,
        ),
        "initiation_invalid": Text(
            "La connexion n’a pas commencé",
            "Le lien que vous avez suivi désigne un service de connexion que {app} n’utilise pas, ou il est incomplet.",
            "Se connecter",
        ),
        "login_expired": Text(
            NOT_FINISHED,
            "Elle a été commencée dans un autre navigateur, était déjà terminée ou a pris trop de temps. Rien de "
            "grave\u00a0: il suffit de recommencer.",
            AGAIN,
        ),
        "callback_invalid": Text(
            NOT_FINISHED, "La réponse de la page de connexion est incomplète ou a été modifiée.", AGAIN
        ),
        "code_refused": Text(
            NOT_FINISHED,
            "La page de connexion ne l’accepte plus\u00a0: elle a déjà servi ou elle est trop ancienne.",
            AGAIN,
        ),
        "token_invalid": Text(
            NOT_SIGNED_IN,
            "La preuve de votre identité n’a pas pu être confirmée. Personne n’a donc été connecté.",
            AGAIN,
        ),
        "access_denied": Text(
            "La connexion n’a pas eu lieu",
            "L’accès a été refusé sur la page de connexion. Vous pouvez changer d’avis à tout moment.",
            AGAIN,
        ),
        "session_too_large": Text(
            NOT_SIGNED_IN,
            "Votre profil contient plus de données que {app} ne peut en conserver. Son responsable trouvera la "
            "solution dans le journal.",
            RETRY,
        ),
        "provider_faulty": Text(NOT_NOW, "Le service de connexion a donné une réponse inutilisable.", RETRY),
        "client_refused": Text(
            NOT_NOW,
            "Le service de connexion n’accepte pas {app}. Son responsable trouvera dans le journal les réglages à "
            "vérifier.",
            RETRY,
        ),
        "provider_unreachable": Text(
            NOT_NOW,
            "Le service de connexion est injoignable. Veuillez réessayer dans un instant. Les sessions ouvertes le "
            "restent.",
            RETRY,
        ),
        "store_unavailable": Text(
            "Cette page ne peut pas être affichée pour le moment",
            "Il est momentanément impossible de savoir qui est connecté. Personne n’a été déconnecté. Veuillez "
            "réessayer.",
        ),
        "path_refused": Text(
            "Cette adresse n’est pas valide", "Elle est écrite d’une façon qui peut se comprendre de deux manières."
        ),
        "not_found": Text("Il n’y a rien ici", "Aucune page ne se trouve à cette adresse."),
        "method_not_allowed": Text(
            "Cette action n’est pas possible", "Cette adresse n’accepte pas ce type de requête."
        ),
        "cross_site": Text(
            "La déconnexion n’a pas eu lieu",
            "La demande venait d’un autre site. Elle n’a donc pas été exécutée.",
        ),
        "internal_error": Text(
            "Une erreur s’est produite",
            "La demande n’a pas été exécutée. Le responsable en saura plus en consultant le journal.",
        ),
        "confirm_logout": Text(
            "Se déconnecter\u00a0?", "Pour utiliser de nouveau {app}, vous devrez vous reconnecter.", "Se déconnecter"
        ),
        "signed_out": Text("La session est fermée", "Personne n’est connecté ici dans ce navigateur.", "Se connecter"),
    },
)
