"""Certificates made on the spot by the openssl program."""
import os
import shutil
import subprocess

from .case import Skip


def make_certificates(folder):
    """A CA (ca.pem), and a certificate of its (server.pem, server.key) for localhost and 127.0.0.1."""
    if not shutil.which("openssl"):
        raise Skip("there is no openssl program to make certificates")
    with open(os.path.join(folder, "san"), "w") as text:
        text.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    for args in (["req", "-x509", "-days", "2", "-subj", "/CN=test CA", "-keyout", "ca.key", "-out", "ca.pem"] + key,
                 ["req", "-subj", "/CN=peer", "-keyout", "server.key", "-out", "server.csr"] + key,
                 ["x509", "-req", "-days", "2", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                  "-CAcreateserial", "-extfile", "san", "-out", "server.pem"]):
        subprocess.run(["openssl"] + args, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
