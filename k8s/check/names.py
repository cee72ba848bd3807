"""What the API server looks at and no schema says: the form of names, keys and quantities."""

import pathlib
import re

from manifests import Build, containers, pod, title

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
# A Service's name is a name of DNS as it was in 1987: no digit first.
SERVICE = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
SUBDOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
PORT = re.compile(r"(?=.{1,15}$)(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*")
KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
LABEL_KEY = re.compile(r"([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?)?")
QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?")
# Kubernetes adds to the names of these: an ordinal and a hash, in labels of 63 characters.
LONGEST = {"StatefulSet": 52, "Job": 63, "CronJob": 52}


def terms(build: Build):
    """Each name with the form that it must have, and where it is."""
    for one in build.objects:
        name = one["metadata"]["name"]
        yield title(one), name, SERVICE if one["kind"] == "Service" else SUBDOMAIN
        for key, value in one["metadata"].get("labels", {}).items():
            yield title(one), key, LABEL_KEY
            yield title(one), value, LABEL_VALUE
        if one["kind"] in ("ConfigMap", "Secret"):
            yield from ((title(one), key, KEY) for key in one.get("data", {}))
        if one["kind"] == "Service":
            yield from ((title(one), port["name"], LABEL) for port in one["spec"]["ports"])
    for workload in build.workloads():
        spec = pod(workload)["spec"]
        for key, value in pod(workload)["metadata"]["labels"].items():
            yield title(workload), key, LABEL_KEY
            yield title(workload), value, LABEL_VALUE
        yield from ((title(workload), volume["name"], LABEL) for volume in spec.get("volumes", []))
        for volume in spec.get("volumes", []):
            if "sizeLimit" in volume.get("emptyDir", {}):
                yield title(workload), volume["emptyDir"]["sizeLimit"], QUANTITY
        for one in containers(workload):
            yield title(workload), one["name"], LABEL
            yield from ((title(workload), port["name"], PORT) for port in one.get("ports", []))
            yield from ((title(workload), variable["name"], VARIABLE) for variable in one.get("env", []))
            for amounts in one.get("resources", {}).values():
                yield from ((title(workload), str(amount), QUANTITY) for amount in amounts.values())
        for claim in workload["spec"].get("volumeClaimTemplates", []):
            yield title(workload), claim["spec"]["resources"]["requests"]["storage"], QUANTITY


def names_have_the_form_that_the_api_takes(build: Build, _root: pathlib.Path):
    for place, name, form in terms(build):
        if not isinstance(name, str) or not form.fullmatch(name):
            yield f"{place}: {name!r}"
    for workload in build.workloads():
        if len(workload["metadata"]["name"]) > LONGEST.get(workload["kind"], 63):
            yield f"{title(workload)}: its pods' names are too long"


def requests_are_within_limits(build: Build, _root: pathlib.Path):
    for workload in build.workloads():
        for one in containers(workload):
            resources = one.get("resources", {})
            for what, limit in resources.get("limits", {}).items():
                if amount(resources.get("requests", {}).get(what, 0)) > amount(limit):
                    yield f"{title(workload)}: asks for more {what} than it may have"


def amount(text) -> float:
    units = {"m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
    number, unit = re.fullmatch(r"([0-9.]+)(\w*)", str(text)).groups()
    return float(number) * units.get(unit, 1)


def mounts_are_paths(build: Build, _root: pathlib.Path):
    for workload in build.workloads():
        for one in containers(workload):
            for mount in one.get("volumeMounts", []):
                if not mount["mountPath"].startswith("/") or ":" in mount["mountPath"] or ".." in mount.get("subPath", ""):
                    yield f"{title(workload)}: {mount['mountPath']}"


CHECKS = [names_have_the_form_that_the_api_takes, requests_are_within_limits, mounts_are_paths]
