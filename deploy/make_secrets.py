#!/usr/bin/env python3
"""Makes every secret that a mesh needs, in a folder that is never checked in.

    deploy/make_secrets.py FOLDER [--host NAME]...

One folder for each Secret of k8s/README.md, and a kustomization.yaml that makes them
(`kubectl apply -k FOLDER`); deploy/compose.yaml mounts the same files. What is there already stays
as it is: delete a file and run it again to replace it. FOLDER/operator and FOLDER/authorities are
for people: no part of the mesh is given them.

Needs Python alone and the program `openssl`.
"""

import argparse
import base64
import binascii
import hashlib
import json
import os
import pathlib
import secrets
import subprocess
import sys
import tempfile

NAMESPACE = "tgmesh"
# Who has a user in deploy/nats/accounts.conf, and in which folder its key goes.
NATS_USERS = {
    "LISTENER": "listener",
    "ARCHIVER": "archiver",
    "GATEWAY": "gateway",
    "TOPOLOGY": "topology",
    "OPERATOR": "operator",
    "SYSTEM": "operator/system",
}
POSTGRES_USERS = ["postgres", "migrate", "archiver", "gateway"]
POSTGRES_CA = "/etc/tgmesh/postgres-ca/ca.crt"
# PKCS #8 of an Ed25519 key, up to its 32 bytes (RFC 8410).
ED25519_DER = bytes.fromhex("302e020100300506032b657004220420")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("folder", type=pathlib.Path)
    arguments.add_argument("--host", action="append", default=[], help="one more name or address of the servers")
    given = arguments.parse_args()
    os.umask(0o077)
    folder = given.folder
    folder.mkdir(parents=True, exist_ok=True)

    nats(folder)
    certificates(folder, given.host)
    postgres(folder)
    tokens(folder)
    keep(folder / "listener/api-hash", lambda: "0" * 32)
    keep(folder / "listener/encryption-key", lambda: secrets.token_hex(32))
    keep(folder / "grafana/admin-password", lambda: secrets.token_urlsafe(24))
    kustomization(folder)
    if (folder / "listener/api-hash").read_text().strip("0\n") == "":
        print(
            f"{folder}/listener/api-hash is of no use but with the simulator: write your own application's there",
            file=sys.stderr,
        )


def keep(path: pathlib.Path, make) -> str:
    """The content of a file, made where it is not there."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, make())
    return path.read_text()


def write(path: pathlib.Path, text: str) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def openssl(*arguments: object, data: bytes | None = None) -> bytes:
    done = subprocess.run(["openssl", *map(str, arguments)], input=data, capture_output=True, check=False)
    if done.returncode != 0:
        sys.exit(f"openssl {arguments[0]}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def public_half(seed: bytes) -> bytes:
    return openssl("pkey", "-inform", "DER", "-pubout", "-outform", "DER", data=ED25519_DER + seed)[-32:]


# ---- NATS: nkeys (github.com/nats-io/nkeys): a prefix that spells the kind, the key, a CRC, in base32.

USER_PREFIX = 20 << 3
SEED_PREFIX = 18 << 3


def encode_nkey(prefix: bytes, key: bytes) -> str:
    raw = prefix + key
    raw += binascii.crc_hqx(raw, 0).to_bytes(2, "little")
    return base64.b32encode(raw).decode().rstrip("=")


def user_seed() -> str:
    prefix = bytes([SEED_PREFIX | USER_PREFIX >> 5, (USER_PREFIX & 31) << 3])
    return encode_nkey(prefix, secrets.token_bytes(32)) + "\n"


def user_public(seed: str) -> str:
    text = seed.strip()
    raw = base64.b32decode(text + "=" * (-len(text) % 8))
    return encode_nkey(bytes([USER_PREFIX]), public_half(raw[2:34]))


def nats(folder: pathlib.Path) -> None:
    lines = ["# Made by deploy/make_secrets.py: who the users of deploy/nats/accounts.conf are."]
    for name, place in NATS_USERS.items():
        seed = keep(folder / place / "nats.nk", user_seed)
        lines.append(f'NKEY_{name}: "{user_public(seed)}"')
    # The streams are sealed with this one: another key, and nobody can read them again.
    keep(folder / "nats/seal.conf", lambda: f'JS_KEY: "{secrets.token_urlsafe(32)}"\n')
    write(folder / "nats/users.conf", "\n".join(lines) + "\n")


# ---- certificates: two authorities, so that nobody who has a certificate for clients joins the cluster.


def certificates(folder: pathlib.Path, hosts: list[str]) -> None:
    nats_names = ["nats", f"nats.{NAMESPACE}", f"nats.{NAMESPACE}.svc", "localhost"]
    peers = [f"nats-{n}.nats-peers.{NAMESPACE}.svc" for n in range(5)]
    postgres_names = ["postgres", f"postgres.{NAMESPACE}", f"postgres.{NAMESPACE}.svc", "localhost"]
    certificate(folder, "servers", "nats-tls", nats_names + hosts)
    certificate(folder, "servers", "postgres-tls", postgres_names + hosts)
    certificate(folder, "routes", "nats-routes-tls", peers + hosts)


def authority(folder: pathlib.Path, name: str) -> tuple[pathlib.Path, pathlib.Path]:
    key, cert = folder / f"authorities/{name}.key", folder / f"authorities/{name}.crt"
    if not (key.exists() and cert.exists()):
        key.parent.mkdir(parents=True, exist_ok=True)
        write(key, openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256").decode())
        subject = f"/O=tgmesh/CN=tgmesh {name}"
        extensions = ["-addext", "basicConstraints=critical,CA:TRUE,pathlen:0", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]
        openssl("req", "-x509", "-new", "-key", key, "-days", 3650, "-subj", subject, *extensions, "-out", cert)
    return key, cert


def certificate(folder: pathlib.Path, signer: str, name: str, hosts: list[str]) -> None:
    place = folder / name
    if (place / "tls.crt").exists() and (place / "tls.key").exists() and (place / "ca.crt").exists():
        return
    place.mkdir(parents=True, exist_ok=True)
    ca_key, ca_cert = authority(folder, signer)
    write(place / "tls.key", openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256").decode())
    is_address = lambda host: host.replace(".", "").isdigit() or ":" in host
    alternatives = ",".join(f"{'IP' if is_address(host) else 'DNS'}:{host}" for host in hosts)
    # Servers of the cluster are each other's clients, too.
    extensions = f"subjectAltName={alternatives}\nbasicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\n"
    request = openssl("req", "-new", "-key", place / "tls.key", "-subj", f"/O=tgmesh/CN={hosts[0]}")
    with tempfile.NamedTemporaryFile("w", suffix=".ext") as file:
        file.write(extensions)
        file.flush()
        serial = "0x" + secrets.token_hex(16)
        signed = openssl("x509", "-req", "-CA", ca_cert, "-CAkey", ca_key, "-set_serial", serial, "-days", 365, "-extfile", file.name, data=request)
    write(place / "tls.crt", signed.decode())
    write(place / "ca.crt", ca_cert.read_text())


# ---- Postgres: a password for each user, and the addresses with them.


def postgres(folder: pathlib.Path) -> None:
    for user in POSTGRES_USERS:
        # Without a line break: psql takes the file as it is.
        password = keep(folder / "postgres" / user, lambda: secrets.token_hex(24))
        if user != "postgres":
            host = f"postgres.{NAMESPACE}.svc:5432"
            url = f"postgres://{user}:{password}@{host}/tgmesh?sslmode=verify-full&sslrootcert={POSTGRES_CA}\n"
            (folder / user).mkdir(parents=True, exist_ok=True)
            write(folder / user / "database-url", url)
            # The same once more, in the form that CloudNativePG reads.
            login = folder / f"postgres-{user}"
            login.mkdir(exist_ok=True)
            write(login / "username", user)
            write(login / "password", password)


# ---- tokens: people sign with the private half; the gateways have the public one.


def tokens(folder: pathlib.Path) -> None:
    def private() -> str:
        der = base64.b64encode(ED25519_DER + secrets.token_bytes(32)).decode()
        return f"-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n"

    pem = keep(folder / "operator/jwt.pem", private)
    seed = base64.b64decode("".join(pem.splitlines()[1:-1]))[-32:]
    x = base64.urlsafe_b64encode(public_half(seed)).decode().rstrip("=")
    # RFC 7638: the members that make the key, in order.
    thumbprint = hashlib.sha256(json.dumps({"crv": "Ed25519", "kty": "OKP", "x": x}, separators=(",", ":")).encode())
    key = {"kty": "OKP", "crv": "Ed25519", "x": x, "alg": "EdDSA", "use": "sig", "kid": thumbprint.hexdigest()[:16]}
    # A set that an operator has added keys to stays.
    keep(folder / "gateway/jwks.json", lambda: json.dumps({"keys": [key]}, indent=2) + "\n")


def kustomization(folder: pathlib.Path) -> None:
    lines = [
        "# Made by deploy/make_secrets.py.",
        "apiVersion: kustomize.config.k8s.io/v1beta1",
        "kind: Kustomization",
        f"namespace: {NAMESPACE}",
        "generatorOptions:",
        "  # Whoever uses them knows them by these names, whether they come from here or from a vault.",
        "  disableNameSuffixHash: true",
        "  labels:",
        "    app.kubernetes.io/part-of: tgmesh",
        "secretGenerator:",
    ]
    for place in sorted(folder.iterdir()):
        if not place.is_dir() or place.name in ("operator", "authorities"):
            continue
        lines += [f"  - name: {place.name}"]
        if place.name.endswith("-tls"):
            lines += ["    type: kubernetes.io/tls"]
        elif (place / "username").exists():
            lines += ["    type: kubernetes.io/basic-auth", "    options:", "      labels:"]
            # Its operator gives the users these passwords as soon as they change.
            lines += ['        cnpg.io/reload: "true"']
        lines += ["    files:"] + [f"      - {place.name}/{file.name}" for file in sorted(place.iterdir())]
    write(folder / "kustomization.yaml", "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
