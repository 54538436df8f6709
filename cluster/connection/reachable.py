"""Refuses a cluster that cannot be joined, within seconds and without joining it."""

import socket
import ssl

from cluster.connection.authentication import is_open, uses_tls
from trainables.errors import InvalidInput

CONNECT_SECONDS = 5.0


def require_cluster(address: str | None, *, allow_unauthenticated: bool = False, searches: bool = True) -> None:
    """Refuse a cluster that cannot be joined, so that nothing is prepared for it in vain.

    Args:
        address: address of the cluster, after `prepare_environment` for it; None: this machine alone, which is there.
        allow_unauthenticated: whether a cluster that asks for no token may be joined.
        searches: whether Ray Tune is to run there. It cannot by Ray Client, which would send it to the head without
            the files and signals of this process.

    Raises:
        InvalidInput: no cluster answers at the address, or the one that does asks for no token. Whether this process
            has the cluster's token shows only when it is joined.
    """
    if address is None:
        return
    if searches and address.startswith("ray://"):
        raise InvalidInput(
            f"--address {address}: a search cannot run through Ray Client; run the command on a node of the "
            "cluster with --address auto, or send it there with `temper submit`"
        )
    _knock(address)
    if not allow_unauthenticated and is_open(address):
        raise InvalidInput(
            f"--address {address}: the cluster asks for no token, so whoever reaches it can run code there; start "
            "its nodes with RAY_AUTH_MODE=token, or join it with --allow-unauthenticated"
        )


def _knock(address: str) -> None:
    """Refuses an address where nothing listens within seconds, because Ray itself would try for minutes.

    Raises:
        InvalidInput: nothing listens there, or it speaks TLS and RAY_USE_TLS does not ask for it.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():
        return  # `auto`, or a text that Ray itself refuses at once
    try:
        bare = host.removeprefix("[").removesuffix("]")  # of an IPv6 address
        with socket.create_connection((bare, int(port)), timeout=CONNECT_SECONDS) as answering:
            agreed = uses_tls() or not _speaks_tls(answering)
    except (OSError, OverflowError) as error:
        raise InvalidInput(f"--address {address}: no Ray cluster answers there ({error})") from None
    if not agreed:
        raise InvalidInput(
            f"--address {address}: the cluster speaks TLS; set RAY_USE_TLS=1, RAY_TLS_SERVER_CERT, RAY_TLS_SERVER_KEY "
            "and RAY_TLS_CA_CERT (cluster/README.md says how)"
        )


def _speaks_tls(connection: socket.socket) -> bool:
    """Returns whether the other side completes a TLS handshake; its certificate is left for Ray to check."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    try:
        context.wrap_socket(connection).close()
    except OSError:  # covers ssl.SSLError, a closed connection and a timeout
        return False
    return True
