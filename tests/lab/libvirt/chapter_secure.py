# SPDX-License-Identifier: LGPL-2.1-or-later
"""How hosts reach each other: by imig alone, or by TLS between imig and the daemons, between the
daemons, and for what they send."""

from trial import Result


def persistent_on(lab, name):
    """Hosts that have a definition of this guest, be it that it does not run there."""
    found = []
    for host in lab.hosts.values():
        connection = host.connect()
        found += [host.name for domain in connection.listAllDomains()
                  if domain.name() == name and domain.isPersistent()]
        connection.close()
    return found


def managed(trial):
    """No host is told how to reach another: imig talks to both.  The definition goes along."""
    lab = trial.lab
    lab.start("host1", "kept", "idle", persistent=True)
    moved = trial.imig("migrate", "kept", "host2", "--for", "2s", "--json",
                       uris=[host.unix_uri for host in lab.hosts.values()])
    trial.claim(moved.status == 0 and trial.place("kept") == "host2",
                "a migration that imig manages", moved)
    trial.claim(persistent_on(lab, "kept") == ["host2"],
                "a persistent definition is on the destination, and only there",
                persistent_on(lab, "kept"))
    lab.stop("kept")


def run(trial):
    lab = trial.lab
    managed(trial)
    lab.start("host1", "secret", "memory-dirty", rate_mb=1)
    moved = trial.imig("migrate", "secret", "host2", "--for", "2s", "--encrypt", "--json",
                       uris=lab.uris("tls"))
    trial.claim(moved.status == 0 and trial.place("secret") == "host2",
                "a migration over TLS, memory and all", moved)
    hosts = list(lab.hosts.values())
    tls = [f"{host.tls_uri},migrate={host.tls_uri}" for host in hosts]
    argv = lab.manager_argv(*trial.start("migrate", "secret", "host3", "--for", "2s", "--json",
                                         uris=tls))
    moved = Result(argv, 120)
    trial.claim(moved.status == 0 and trial.place("secret") == "host3",
                "imig itself speaks TLS with the hosts", moved)
    wrong = [f"{host.wrong_tls_uri},migrate={host.tls_uri}" for host in hosts]
    argv = lab.manager_argv(*trial.start("migrate", "secret", "host1", "--for", "2s", uris=wrong))
    refused = Result(argv, 120)
    trial.claim(refused.status == 1 and "ertificate" in refused.err
                and trial.place("secret") == "host3", "a wrong certificate is refused", refused)
    trial.figures["wrong certificate"] = refused.err.strip().splitlines()[-1:]
    trial.claim(lab.faults() == [], "no write was lost", lab.faults())
    trial.stop_all()
