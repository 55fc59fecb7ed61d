# SPDX-License-Identifier: LGPL-2.1-or-later
"""Certificates of a lab: an authority, every host, a client; and a wrong client.

DIR/right, DIR/wrong   what ?pkipath= wants of a client: cacert.pem, clientcert.pem, clientkey.pem.
                       The wrong one trusts the hosts, but they know nothing of who signed it.
DIR/NAME               of a host: files under the names that QEMU looks for
"""

import shutil

from machine import run

COMMON = "expiration_days = 7\nsigning_key\nencryption_key\n"


def sign(directory, name, template, authority=None):
    """Make name-key.pem and name-cert.pem, signed by (certificate, key) or by itself."""
    key, certificate = directory / f"{name}-key.pem", directory / f"{name}-cert.pem"
    form = directory / f"{name}.template"
    form.write_text(template)
    run("certtool", "--generate-privkey", "--key-type=rsa", "--bits=2048", "--outfile", key)
    how = ["--generate-self-signed"]
    if authority:
        how = ["--generate-certificate", "--load-ca-certificate", authority[0],
               "--load-ca-privkey", authority[1]]
    run("certtool", *how, "--load-privkey", key, "--template", form, "--outfile", certificate)
    form.unlink()
    return certificate, key


def make_authority(directory, name):
    return sign(directory, name, f"cn = {name}\nca\ncert_signing_key\nexpiration_days = 7\n")


def make_client(directory, cn, authority, trusts):
    directory.mkdir()
    certificate, key = sign(directory, "client", f"cn = {cn}\ntls_www_client\n" + COMMON,
                            authority)
    certificate.rename(directory / "clientcert.pem")
    key.rename(directory / "clientkey.pem")
    (directory / "cacert.pem").write_text("".join(path.read_text() for path in trusts))


def make(directory, hosts):
    """hosts: (name, ip) of each."""
    directory.mkdir()
    authority = make_authority(directory, "authority")
    stranger = make_authority(directory, "stranger")
    make_client(directory / "right", "manager", authority, [authority[0]])
    make_client(directory / "wrong", "manager", stranger, [authority[0], stranger[0]])
    for name, ip in hosts:
        into = directory / name
        into.mkdir()
        shutil.copy(authority[0], into / "ca-cert.pem")
        names = f"cn = {name}\ndns_name = {name}\nip_address = {ip}\n"
        sign(into, "server", names + "tls_www_server\n" + COMMON, authority)
        sign(into, "client", names + "tls_www_client\n" + COMMON, authority)
