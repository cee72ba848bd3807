"""Objects of operators. Their schemas are not part of Kubernetes: what a component may say is written
down here, from the operators' own references, and anything else is a fault. (The same objects were held
once against the operators' definitions of June 2026, whole.)

A tree of keys: `...` takes anything, a list of one tree is a list of such, a set is the words allowed;
`!` before a key means that it must be there."""

import pathlib

from manifests import Build, built_in, title

ANY = ...
REF = {"!name": ANY, "kind": ANY, "apiGroup": ANY, "group": ANY, "apiVersion": ANY}
LABELS = {"matchLabels": ANY}
TRIGGER = {"!type": ANY, "!metadata": ANY, "metricType": {"AverageValue", "Value", "Utilization"}, "name": ANY}
TREES = {
    # keda.sh/docs: ScaledObject specification
    "keda.sh/v1alpha1/ScaledObject": {
        "!scaleTargetRef": REF,
        "minReplicaCount": ANY,
        "maxReplicaCount": ANY,
        "pollingInterval": ANY,
        "cooldownPeriod": ANY,
        "fallback": {"!failureThreshold": ANY, "!replicas": ANY},
        "advanced": {"horizontalPodAutoscalerConfig": {"behavior": ANY}},
        "!triggers": [TRIGGER],
    },
    # external-secrets.io: API reference, v1
    "external-secrets.io/v1/ExternalSecret": {
        "!secretStoreRef": {"!name": ANY, "!kind": {"SecretStore", "ClusterSecretStore"}},
        "refreshInterval": ANY,
        "!target": {"name": ANY, "creationPolicy": {"Owner", "Merge"}, "deletionPolicy": {"Retain"}, "template": {"type": ANY, "metadata": {"labels": ANY}, "data": ANY}},
        "data": [{"!secretKey": ANY, "!remoteRef": {"!key": ANY, "property": ANY}}],
        "dataFrom": [{"!extract": {"!key": ANY}}],
    },
    "external-secrets.io/v1/SecretStore": {
        "!provider": {
            "vault": {"!server": ANY, "path": ANY, "version": {"v1", "v2"}, "!auth": {"kubernetes": {"!mountPath": ANY, "!role": ANY, "serviceAccountRef": {"!name": ANY}}}},
            "aws": {"!service": {"SecretsManager"}, "!region": ANY, "auth": ANY},
        }
    },
    # cert-manager.io/docs/reference/api-docs
    "cert-manager.io/v1/Issuer": {"selfSigned": ANY, "ca": {"!secretName": ANY}, "acme": ANY},
    "cert-manager.io/v1/Certificate": {
        "!secretName": ANY,
        "secretTemplate": {"labels": ANY},
        "!issuerRef": REF,
        "commonName": ANY,
        "isCA": ANY,
        "duration": ANY,
        "renewBefore": ANY,
        "dnsNames": [ANY],
        "usages": [{"server auth", "client auth", "digital signature", "cert sign"}],
        "privateKey": {"algorithm": {"ECDSA", "RSA", "Ed25519"}, "size": ANY, "rotationPolicy": {"Always", "Never"}},
    },
    # cloudnative-pg.io/docs: API reference
    "postgresql.cnpg.io/v1/Cluster": {
        "!instances": ANY,
        "imageName": ANY,
        "!storage": {"!size": ANY, "storageClass": ANY},
        "walStorage": {"!size": ANY},
        "postgresql": {"parameters": ANY, "pg_hba": [ANY], "synchronous": {"!method": {"any", "first"}, "!number": ANY, "dataDurability": {"required", "preferred"}}},
        "bootstrap": {"initdb": {"database": ANY, "owner": ANY, "secret": {"!name": ANY}, "dataChecksums": ANY, "postInitSQL": [ANY], "postInitApplicationSQL": [ANY]}},
        "managed": {"roles": [{"!name": ANY, "ensure": {"present"}, "login": ANY, "inRoles": [ANY], "passwordSecret": {"!name": ANY}, "connectionLimit": ANY, "inherit": ANY}]},
        "certificates": {"serverTLSSecret": ANY, "serverCASecret": ANY},
        "resources": {"requests": ANY, "limits": ANY},
        "affinity": {"enablePodAntiAffinity": ANY, "topologyKey": ANY, "podAntiAffinityType": {"required", "preferred"}},
        "primaryUpdateStrategy": {"unsupervised", "supervised"},
        "enablePDB": ANY,
        "monitoring": ANY,
        "backup": ANY,
    },
    # prometheus-operator.dev/docs/api-reference
    "monitoring.coreos.com/v1/PodMonitor": {"!selector": LABELS, "!podMetricsEndpoints": [{"!port": ANY, "path": ANY, "interval": ANY, "relabelings": ANY}], "jobLabel": ANY, "podTargetLabels": [ANY]},
    "monitoring.coreos.com/v1/PrometheusRule": {"!groups": [{"!name": ANY, "interval": ANY, "!rules": [{"alert": ANY, "record": ANY, "!expr": ANY, "for": ANY, "labels": ANY, "annotations": ANY}]}]},
    # gateway-api.sigs.k8s.io/reference/spec
    "gateway.networking.k8s.io/v1/Gateway": {
        "!gatewayClassName": ANY,
        "!listeners": [{"!name": ANY, "!port": ANY, "!protocol": {"HTTP", "HTTPS"}, "hostname": ANY, "tls": {"mode": {"Terminate"}, "certificateRefs": [REF]}, "allowedRoutes": ANY}],
    },
    "gateway.networking.k8s.io/v1/HTTPRoute": {
        "!parentRefs": [{"!name": ANY, "sectionName": ANY}],
        "hostnames": [ANY],
        "!rules": [{"matches": ANY, "filters": ANY, "timeouts": {"request": ANY, "backendRequest": ANY}, "backendRefs": [{"!name": ANY, "!port": ANY}]}],
    },
}


def faults(tree, value, place: str):
    if tree is ANY:
        return
    if isinstance(tree, set):
        if value not in tree:
            yield f"{place}: {value!r} is none of {sorted(tree)}"
    elif isinstance(tree, list):
        if not isinstance(value, list):
            yield f"{place}: is no list"
            return
        for n, one in enumerate(value):
            yield from faults(tree[0], one, f"{place}[{n}]")
    elif not isinstance(value, dict):
        yield f"{place}: is no map"
    else:
        known = {key.lstrip("!"): sub for key, sub in tree.items()}
        for key in value:
            if key in known:
                yield from faults(known[key], value[key], f"{place}.{key}")
            else:
                yield f"{place}.{key}: unknown"
        for key in tree:
            if key.startswith("!") and key[1:] not in value:
                yield f"{place}.{key[1:]}: missing"


def objects_of_operators_are_as_their_references_say(build: Build, _root: pathlib.Path):
    for one in build.objects:
        if built_in(one):
            continue
        kind = f"{one['apiVersion']}/{one['kind']}"
        if kind not in TREES:
            yield f"{title(one)}: nothing is known of {kind}"
            continue
        yield from (f"{title(one)}{fault}" for fault in faults(TREES[kind], one["spec"], ".spec"))


CHECKS = [objects_of_operators_are_as_their_references_say]
