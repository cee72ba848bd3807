"""The rules of the house for pods, with the reason for each exception. Pod Security `restricted` is
among them: an API server refuses what breaks it, this says so before."""

import pathlib

from manifests import Build, containers, pod, title

# (check, object): why it may.
EXCEPTIONS = {
    ("more_than_one_of_them_is_protected", "StatefulSet/postgres"): "one server; a budget would only keep its node from being drained",
    ("more_than_one_of_them_is_protected", "StatefulSet/jaeger"): "one, for looking at; traces are dropped meanwhile",
    ("more_than_one_of_them_is_protected", "StatefulSet/prometheus"): "one, for looking at; figures are missing meanwhile",
    ("more_than_one_of_them_is_protected", "Deployment/grafana"): "keeps nothing, and is back in seconds",
    ("more_than_one_of_them_is_protected", "Deployment/telegram-sim"): "stands for Telegram, which is one",
}
LONG_RUNNING = ("Deployment", "StatefulSet")


def excepting(check):
    def held(build: Build, root: pathlib.Path):
        for name, fault in check(build):
            if (check.__name__, name) not in EXCEPTIONS:
                yield f"{name}: {fault}"

    held.__name__ = check.__name__
    return held


def each_container(build: Build):
    for workload in build.workloads():
        for one in containers(workload):
            yield title(workload), pod(workload)["spec"], one


@excepting
def pods_are_restricted(build: Build):
    for workload in build.workloads():
        spec, name = pod(workload)["spec"], title(workload)
        context = spec.get("securityContext", {})
        if context.get("runAsNonRoot") is not True or not context.get("runAsUser") or not context.get("runAsGroup"):
            yield name, "runs as root, or as whom is not said"
        if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield name, "has no seccomp profile"
        for forbidden in ("hostNetwork", "hostPID", "hostIPC", "hostUsers"):
            if spec.get(forbidden):
                yield name, f"has {forbidden}"
        for volume in spec.get("volumes", []):
            kind = next(key for key in volume if key != "name")
            if kind not in ("configMap", "secret", "emptyDir", "projected", "persistentVolumeClaim"):
                yield name, f"has a volume of kind {kind}"
            if kind == "emptyDir" and "sizeLimit" not in volume[kind]:
                yield name, f"may fill the node's disk by {volume['name']}"


@excepting
def containers_are_restricted(build: Build):
    for name, _, one in each_container(build):
        context = one.get("securityContext", {})
        if context.get("allowPrivilegeEscalation") is not False:
            yield name, "may gain privileges"
        if context.get("capabilities") != {"drop": ["ALL"]}:
            yield name, "has capabilities"
        if context.get("readOnlyRootFilesystem") is not True:
            yield name, "may write to its root file system"
        if context.get("privileged") or context.get("runAsUser") == 0:
            yield name, "is privileged"


@excepting
def nobody_has_a_token_of_the_api(build: Build):
    for account in build.of("ServiceAccount"):
        if account.get("automountServiceAccountToken") is not False:
            yield title(account), "gives its token away"
    for workload in build.workloads():
        spec = pod(workload)["spec"]
        if spec.get("automountServiceAccountToken") is not False or spec.get("serviceAccountName") in (None, "default"):
            yield title(workload), "has a token, or the default account"
        if spec.get("enableServiceLinks") is not False:
            yield title(workload), "is told of every Service by variables"


@excepting
def secrets_are_files_that_only_the_pod_reads(build: Build):
    for name, spec, one in each_container(build):
        for variable in one.get("env", []):
            if "secretKeyRef" in variable.get("valueFrom", {}):
                yield name, f"has a secret in the variable {variable['name']}"
        if any("secretRef" in source for source in one.get("envFrom", [])):
            yield name, "has secrets in variables"
        for volume in spec.get("volumes", []):
            mode = volume.get("secret", volume.get("configMap", volume.get("projected", {}))).get("defaultMode", 0o440)
            if mode & 0o007 or mode & 0o222:
                yield name, f"lets others read, or anybody write, {volume['name']}: {mode:o}"
        for mount in one.get("volumeMounts", []):
            source = next((v for v in spec.get("volumes", []) if v["name"] == mount["name"]), {})
            if ("secret" in source or "configMap" in source or "projected" in source) and not mount.get("readOnly"):
                yield name, f"may write to {mount['mountPath']}"


@excepting
def memory_is_bounded_and_work_is_asked_for(build: Build):
    for name, _, one in each_container(build):
        resources = one.get("resources", {})
        if "memory" not in resources.get("limits", {}):
            yield name, "may take all memory"
        for what in ("cpu", "memory"):
            if what not in resources.get("requests", {}):
                yield name, f"asks for no {what}"
        # A limit of CPU throttles a process that has work while the node has none.
        if "cpu" in resources.get("limits", {}):
            yield name, "is throttled"


@excepting
def long_running_ones_are_probed(build: Build):
    for workload in build.workloads():
        for one in pod(workload)["spec"]["containers"]:
            if workload["kind"] not in LONG_RUNNING:
                continue
            ports = {port["name"] for port in one.get("ports", [])}
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                if probe not in one:
                    yield title(workload), f"has no {probe}"
                elif one[probe].get("httpGet", {}).get("port", next(iter(ports))) not in ports:
                    yield title(workload), f"{probe} asks a port that it has not"


@excepting
def images_have_a_version(build: Build):
    for name, _, one in each_container(build):
        tag = one["image"].rpartition(":")[2]
        if "@sha256:" not in one["image"] and (not any(c.isdigit() for c in tag) or "." not in tag):
            yield name, f"takes whatever {one['image']} is today"


@excepting
def more_than_one_of_them_is_protected(build: Build):
    budgets = [one["spec"]["selector"]["matchLabels"] for one in build.of("PodDisruptionBudget")]
    for workload in build.of(*LONG_RUNNING):
        labels = pod(workload)["metadata"]["labels"]
        if not any(budget.items() <= labels.items() for budget in budgets):
            yield title(workload), "may be drained away at once"


@excepting
def production_is_three_of_everything_that_can_be(build: Build):
    if not build.name.startswith("prod"):
        return
    least = {one["spec"]["scaleTargetRef"]["name"]: one["spec"]["minReplicas"] for one in build.of("HorizontalPodAutoscaler")}
    least |= {one["spec"]["scaleTargetRef"]["name"]: one["spec"].get("minReplicaCount", 0) for one in build.of("ScaledObject")}
    for workload in build.of(*LONG_RUNNING):
        name = workload["metadata"]["name"]
        if ("more_than_one_of_them_is_protected", title(workload)) in EXCEPTIONS:
            continue
        replicas = workload["spec"].get("replicas")
        if name in least and replicas is not None:
            yield title(workload), "has a number of replicas that its autoscaler fights"
        if least.get(name, replicas) != 3 and least.get(name, replicas or 1) < 3:
            yield title(workload), f"is {least.get(name, replicas)}"
        if "topologySpreadConstraints" not in pod(workload)["spec"]:
            yield title(workload), "may be on one node"


@excepting
def the_namespace_is_restricted(build: Build):
    if build.name == "secrets":
        return
    for mode in ("enforce", "warn", "audit"):
        for namespace in build.of("Namespace"):
            if namespace["metadata"]["labels"].get(f"pod-security.kubernetes.io/{mode}") != "restricted":
                yield title(namespace), f"does not {mode} `restricted`"
    if not build.of("Namespace"):
        yield "Namespace/tgmesh", "is missing"


CHECKS = [
    pods_are_restricted,
    containers_are_restricted,
    nobody_has_a_token_of_the_api,
    secrets_are_files_that_only_the_pod_reads,
    memory_is_bounded_and_work_is_asked_for,
    long_running_ones_are_probed,
    images_have_a_version,
    more_than_one_of_them_is_protected,
    production_is_three_of_everything_that_can_be,
    the_namespace_is_restricted,
]
