"""The built-in certificate authority: root, intermediate, server and worker certificates.

`authority` is the port's implementation over a directory, `certificates` what each kind of
certificate contains, `keyfiles` how they lie on disk, `credentials` how gRPC is given them, `sealing`
how the root of several servers lies in their database.
"""

from hodei.adapters.pki.authority import FileCertificateAuthority, new_root_pem
from hodei.adapters.pki.credentials import dynamic_server_credentials

__all__ = ["FileCertificateAuthority", "dynamic_server_credentials", "new_root_pem"]
