"""What a component hands over to an operator of the cluster must be what the plain parts have: the same
users, the same rules, the same figures, and nothing twice."""

import base64
import functools
import pathlib
import re
import subprocess
import tempfile

import yaml
from manifests import Build, containers, kustomize, pod, title

# Services of others, by the names that the components give them.
ELSEWHERE = {"prometheus-operated.monitoring.svc"}


def strings(value):
    if isinstance(value, dict):
        for one in value.values():
            yield from strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from strings(one)
    elif isinstance(value, str):
        yield value


@functools.cache
def made(root: pathlib.Path) -> dict:
    """Each Secret of `make k8s-secrets`: its type, and its fields."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["python3", root / "deploy/make_secrets.py", folder], check=True, capture_output=True)
        return {
            one["metadata"]["name"]: (one.get("type"), {key: base64.b64decode(value).decode() for key, value in one["data"].items()})
            for one in kustomize(pathlib.Path(folder))
        }


def logins_of_the_database_are_made(build: Build, root: pathlib.Path):
    """Each user's password is the one in the address that the same user's part is given."""
    external = build.named("ExternalSecret")
    for cluster in build.of("Cluster"):
        for role in cluster["spec"]["managed"]["roles"]:
            secret = role["passwordSecret"]["name"]
            kind, fields = made(root).get(secret, (None, {}))
            if kind != "kubernetes.io/basic-auth" or fields.get("username") != role["name"]:
                yield f"{title(cluster)}: make_secrets.py makes no login {secret} of {role['name']}"
            elif f"://{role['name']}:{fields['password']}@" not in made(root)[role["name"]][1]["database-url"]:
                yield f"{title(cluster)}: {secret} and the address of {role['name']} have different passwords"
            if external:
                template = external.get(secret, {}).get("spec", {}).get("target", {}).get("template", {})
                if template.get("type") != kind or template.get("data") != {"username": role["name"], "password": f"{{{{ .{role['name']} }}}}"}:
                    yield f"{title(cluster)}: no ExternalSecret makes the login {secret}"


def both_databases_have_the_same_users(build: Build, root: pathlib.Path):
    sql = (root / "deploy/postgres/roles.sql").read_text()
    plain = set(re.findall(r"\('(\w+)', '(tgmesh_\w+)'\)", sql))
    rules = [line.split() for line in (root / "deploy/postgres/pg_hba.conf").read_text().splitlines() if line.startswith("host")]
    for cluster in build.of("Cluster"):
        spec = cluster["spec"]
        users = {(role["name"], group) for role in spec["managed"]["roles"] for group in role["inRoles"] if role["login"]}
        if users != plain:
            yield f"{title(cluster)}: {sorted(users ^ plain)}"
        groups = {spec["bootstrap"]["initdb"]["owner"], *re.findall(r"CREATE ROLE (\w+)", " ".join(spec["bootstrap"]["initdb"]["postInitSQL"]))}
        if groups != {group for _, group in plain}:
            yield f"{title(cluster)}: the roles {sorted(groups)}"
        if [line.split() for line in spec["postgresql"]["pg_hba"]] != [*rules, ["host", "all", "all", "all", "reject"]]:
            yield f"{title(cluster)}: its pg_hba differs"
        version = spec["imageName"].partition(":")[2].partition("-")[0]
        server = plain_image(root)
        if server.partition(":")[2] != version:
            yield f"{title(cluster)}: {spec['imageName']}, and the plain one is {server}"


@functools.cache
def plain_image(root: pathlib.Path) -> str:
    for one in yaml.safe_load_all((root / "k8s/base/postgres/postgres.yaml").read_text()):
        if one["kind"] == "StatefulSet":
            return one["spec"]["template"]["spec"]["containers"][0]["image"]
    return ""


def rules_are_those_that_are_tested(build: Build, root: pathlib.Path):
    groups = []
    for name in ("alerts", "objectives"):
        groups += yaml.safe_load((root / f"deploy/prometheus/rules/{name}.yaml").read_text())["groups"]
    for one in build.of("PrometheusRule"):
        if one["spec"]["groups"] != groups:
            yield f"{title(one)}: run deploy/prometheus/generate.py"


def monitors_see_what_the_own_prometheus_sees(build: Build, root: pathlib.Path):
    monitors = build.of("PodMonitor")
    if not monitors:
        return
    scrape = yaml.safe_load((root / "k8s/base/metrics/scrape.yaml").read_text())
    wanted = {job["job_name"] for job in scrape["scrape_configs"]} - {"prometheus"}
    seen = set()
    for monitor in monitors:
        selector = monitor["spec"]["selector"]["matchLabels"].items()
        chosen = [workload for workload in build.workloads() if selector <= pod(workload)["metadata"]["labels"].items()]
        ports = {port["name"] for workload in chosen for one in containers(workload) for port in one.get("ports", [])}
        for end in monitor["spec"]["podMetricsEndpoints"]:
            if end["port"] not in ports:
                yield f"{title(monitor)}: no pod has the port {end['port']}"
            seen |= {rule["replacement"] for rule in end["relabelings"] if rule["targetLabel"] == "job"}
    if seen != wanted:
        yield f"jobs: {sorted(seen ^ wanted)}"
    if "prometheus" in build.named("StatefulSet"):
        yield "two servers ask for the same figures"


def addresses_within_the_cluster_are_somebody_s(build: Build, _root: pathlib.Path):
    """Those of foreign programs and of operators' objects, too."""
    services = build.named("Service")
    asked = [(title(one), one["spec"]) for one in build.of("ScaledObject")]
    asked += [(title(workload), one.get("env", [])) for workload in build.workloads() for one in containers(workload)]
    for name, values in asked:
        for text in strings(values):
            for host, port in re.findall(r"^http://([a-z.-]+):(\d+)", text):
                if host in ELSEWHERE:
                    continue
                short = host.removesuffix(".svc").removesuffix(".tgmesh")
                ports = [one["port"] for one in services.get(short, {"spec": {"ports": []}})["spec"]["ports"]]
                if int(port) not in ports:
                    yield f"{name}: nobody is {host}:{port}"


CHECKS = [
    logins_of_the_database_are_made,
    both_databases_have_the_same_users,
    rules_are_those_that_are_tested,
    monitors_see_what_the_own_prometheus_sees,
    addresses_within_the_cluster_are_somebody_s,
]
