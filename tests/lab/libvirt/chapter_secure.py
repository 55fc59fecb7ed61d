# SPDX-License-Identifier: LGPL-2.1-or-later
"""TLS: between imig and the daemons, between the daemons, and for what they send."""

from trial import Result


def run(trial):
    lab = trial.lab
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
