"""This file is the key with which the development provider signs."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

ALGORITHM = "RS256"


@dataclass(frozen=True, slots=True)
class SigningKey:
    private: rsa.RSAPrivateKey = field(repr=False)
    kid: str

    @classmethod
    def fresh(cls) -> Self:
        """A new key; this takes about a tenth of a second."""
        return cls(rsa.generate_private_key(public_exponent=65537, key_size=2048), secrets.token_hex(8))

    def jwk(self) -> dict[str, str]:
        """The public half, as a JSON Web Key (RFC 7517)."""
        public = RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        return {"kty": "RSA", "use": "sig", "alg": ALGORITHM, "kid": self.kid, "n": public["n"], "e": public["e"]}

    def sign(self, claims: Mapping[str, Any]) -> str:
        return jwt.encode(dict(claims), self.private, algorithm=ALGORITHM, headers={"kid": self.kid})

    def read(self, token: str, issuer: str) -> dict[str, Any]:
        """The claims of an ID token that this key signed, however old, for whomever it was.

        Raises `jwt.InvalidTokenError`.
        """
        checks: Any = {"verify_exp": False, "verify_iat": False, "verify_aud": False, "require": ["iss", "aud", "sub"]}
        return jwt.decode(token, self.private.public_key(), algorithms=[ALGORITHM], issuer=issuer, options=checks)
