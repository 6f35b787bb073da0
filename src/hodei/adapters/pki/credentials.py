"""Gives the server's current certificate to gRPC, which asks for it at each handshake."""

from collections.abc import Callable

import grpc

from hodei.ports.pki import CertificateAuthority, ServerIdentity


def dynamic_server_credentials(
    ca: CertificateAuthority,
    *,
    require_client_certificate: bool,
    on_handshake: Callable[[], None] = lambda: None,
) -> grpc.ServerCredentials:
    """Credentials of a listener that follow every renewal without a restart.

    New handshakes see a new certificate, and new trust in workers, at once; open connections go
    on. grpcio knows no optional client certificate, hence the flag and one listener for each.
    `on_handshake` is called on a thread of gRPC's core as each handshake begins.
    """
    shown = ca.server_identity()

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        # Called by several threads of gRPC's core at once, once for each handshake. When two of
        # them see a change together, one may still show the certificate before it, which is
        # valid for days.
        nonlocal shown
        on_handshake()
        current = ca.server_identity()
        if current == shown:
            return None
        shown = current
        return _configuration(current, with_client_ca=require_client_certificate)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(shown, with_client_ca=require_client_certificate),
        fetch,  # pyright: ignore[reportArgumentType] - the stubs leave out None, 'unchanged'
        require_client_authentication=require_client_certificate,
    )


def _configuration(
    identity: ServerIdentity, *, with_client_ca: bool
) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(identity.key_pem, identity.chain_pem)],
        root_certificates=identity.client_ca_pem if with_client_ca else None,
    )
