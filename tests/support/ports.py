"""This file is ports of this machine that the kernel gives to nobody else, so that tests may run side by side."""

import socket
from typing import Self

HOST = "127.0.0.1"


class Port:
    """A port that a server may listen on, and stop, and listen on again, for as long as this is open.

    It is bound and not listened on: nobody who asks for any port is given it, and a server that names it, and lets
    addresses be used again as servers do, gets it.
    """

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((HOST, 0))
        self.number: int = self._socket.getsockname()[1]

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
