"""Finds out whether a Ray cluster asks for a token, by calling it without one."""

import os
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

from trainables.errors import InvalidInput

ANSWER_SECONDS = 5.0
# Both calls only read, and are sent an empty request. Their answer does not matter: a head that wants a token refuses
# the call before it looks at the request.
_OF_THE_HEAD = "/ray.rpc.InternalKVGcsService/InternalKVExists"
_OF_THE_CLIENT_SERVER = "/ray.rpc.RayletDriver/ClusterInfo"
_DIRECTLY = build_opener(ProxyHandler({}))  # a proxy of the environment leads out of the cluster, not around in it


def is_open(address: str, *, timeout: float = ANSWER_SECONDS) -> bool:
    """Returns whether the head answers a caller without a token; if so, anybody who reaches it can run code there.

    The call does not use Ray's own client, so that neither this process's RAY_AUTH_MODE nor its token plays a part. No
    Ray session is needed, and one that exists is not touched. TLS is used where RAY_USE_TLS asks for it. As in Ray's
    own calls, the environment's http_proxy is not used unless RAY_grpc_enable_http_proxy asks for it.

    Args:
        address: as given to Ray: `host:port` of the head, `ray://host:port` of its client server, or `auto`.
        timeout: seconds to wait for an answer.

    Raises:
        InvalidInput: no head answers there.
    """
    import grpc

    target, method = _target(address)
    with _channel(target) as channel:
        call = channel.unary_unary(method, request_serializer=bytes, response_deserializer=bytes)
        try:
            call(b"", timeout=timeout)
        except grpc.RpcError as error:
            code = error.code()
            if code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
                return False
            if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise InvalidInput(
                    f"--address {address}: no Ray cluster answers there ({error.details()}); if it uses TLS, set "
                    "RAY_USE_TLS and its certificates"
                ) from None
        return True


def uses_tls() -> bool:
    """Returns whether Ray's environment variables ask for TLS."""
    return os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true")


def dashboard() -> tuple[str | None, bool | None]:
    """Finds the dashboard of the cluster that this process has joined, and whether it answers without a token.

    Returns:
        The dashboard's `host:port`, a loopback address where it listens on the head alone, and None where the cluster
        has none; then whether it answers without a token, None where it does not answer this machine.
    """
    from ray._private.services import get_webui_url_from_internal_kv

    address = get_webui_url_from_internal_kv()
    if not address:
        return None, None
    address = str(address).removeprefix("http://")
    try:
        with _DIRECTLY.open(f"http://{address}/nodes?view=summary", timeout=ANSWER_SECONDS):
            return address, True
    except HTTPError as error:
        return address, error.code not in (401, 403)
    except OSError:
        return address, None


def _target(address: str) -> tuple[str, str]:
    """Returns the `host:port` to call, and the name of the call to make there."""
    if address.startswith("ray://"):
        return address.removeprefix("ray://").split("/")[0], _OF_THE_CLIENT_SERVER
    from ray._private.services import canonicalize_bootstrap_address

    try:
        found = canonicalize_bootstrap_address(address)
    except (ValueError, OSError) as error:
        raise InvalidInput(f"--address {address}: no address of a Ray cluster ({error})") from None
    if found is None:
        raise InvalidInput(f"--address {address}: no Ray cluster was started on this machine; expected host:port")
    return found, _OF_THE_HEAD


def _channel(target: str):  # type: ignore[no-untyped-def]  # grpc ships no types
    """Opens a plain gRPC channel; Ray's own channel has interceptors that would add a token."""
    import grpc
    from ray._private.ray_constants import GLOBAL_GRPC_OPTIONS

    if not uses_tls():
        return grpc.insecure_channel(target, options=GLOBAL_GRPC_OPTIONS)
    from ray._common.tls_utils import load_certs_from_env

    chain, key, authority = load_certs_from_env()
    return grpc.secure_channel(target, grpc.ssl_channel_credentials(authority, key, chain), options=GLOBAL_GRPC_OPTIONS)
