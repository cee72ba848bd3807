"""The picture: who may open connections to whom. Computed from the NetworkPolicies for every pair of
pods and every port that anybody listens on, and compared with what is meant."""

import ipaddress
import pathlib

from manifests import Build, containers, pod, title

WORLD = "world"
HOME = "tgmesh"
# from → to, port. What is not here is not to be.
MESH = {
    ("listener", "nats", 4222),
    ("archiver", "nats", 4222),
    ("gateway", "nats", 4222),
    ("topology", "nats", 4222),
    ("nats", "nats", 6222),
    ("archiver", "postgres", 5432),
    ("gateway", "postgres", 5432),
    ("migrate", "postgres", 5432),
    ("listener", "collector", 4318),
    ("archiver", "collector", 4318),
    ("gateway", "collector", 4318),
    ("collector", "jaeger", 4317),
    ("prometheus", "listener", 9090),
    ("prometheus", "archiver", 9090),
    ("prometheus", "gateway", 9090),
    ("prometheus", "collector", 8888),
    ("grafana", "prometheus", 9090),
    ("grafana", "jaeger", 16686),
    (WORLD, "gateway", 8080),
}
TELEGRAM = {("listener", WORLD, port) for port in (80, 443, 5222)}
INTENDED = {
    "dev": MESH
    | {
        ("listener", "telegram-sim", 4430),
        ("sim-sessions", "telegram-sim", 4431),
        ("sim-sessions", "nats", 4222),
    },
    "prod": MESH | TELEGRAM,
    # The plain database and the own Prometheus are gone; who takes their places is below.
    "prod-operators": {arrow for arrow in MESH if not {"prometheus", "postgres"} & set(arrow[:2])}
    | TELEGRAM
    | {(part, "database", 5432) for part in ("archiver", "gateway", "migrate", "database", "cnpg")}
    | {("cnpg", "database", 8000)}
    # The API server tells a server of the database who leads.
    | {("database", WORLD, 443), ("database", WORLD, 6443)}
    | {("monitoring", part, 9090) for part in ("listener", "archiver", "gateway")}
    | {("monitoring", "collector", 8888), ("grafana", "monitoring", 9090)},
}
# Pods that operators make here, and pods elsewhere: namespace, labels, ports.
OF_OPERATORS = {
    "database": ("tgmesh", {"cnpg.io/cluster": "database"}, {5432, 8000}),
    "monitoring": ("monitoring", {"app.kubernetes.io/name": "prometheus"}, {9090}),
    "cnpg": ("cnpg-system", {"app.kubernetes.io/name": "cloudnative-pg"}, set()),
    "stranger": ("default", {"app.kubernetes.io/name": "prometheus"}, set()),
}
# Everybody asks for names, and nothing else leaves for another namespace.
NAMES = {("kube-system", 53, "UDP"), ("kube-system", 53, "TCP")}


def name_of(workload: dict) -> str:
    return pod(workload)["metadata"]["labels"]["app.kubernetes.io/name"]


def policies_for(build: Build, labels: dict, direction: str) -> list:
    found = []
    for policy in build.of("NetworkPolicy"):
        selector = policy["spec"]["podSelector"]
        if direction in policy["spec"]["policyTypes"] and selector.get("matchLabels", {}).items() <= labels.items():
            found.append(policy)
    return found


def lets(rule: dict, peers: str, port: int, other: tuple | None) -> bool:
    """Whether a rule is about this port and this pod, or the world where there is none."""
    if "ports" in rule and not any(p["port"] == port and p.get("protocol", "TCP") == "TCP" for p in rule["ports"]):
        return False
    if peers not in rule:
        return True
    for peer in rule[peers]:
        if other is None:
            if "ipBlock" in peer and ipaddress.ip_network(peer["ipBlock"]["cidr"]).prefixlen == 0:
                return True
            continue
        if "ipBlock" in peer:
            continue
        space, labels = other
        spaces = {"kubernetes.io/metadata.name": space}.items()
        # Without a selector of namespaces it is about the policy's own.
        near = peer["namespaceSelector"].get("matchLabels", {}).items() <= spaces if "namespaceSelector" in peer else space == HOME
        if near and peer.get("podSelector", {}).get("matchLabels", {}).items() <= labels.items():
            return True
    return False


def may(build: Build, source: tuple | None, target: tuple | None, port: int) -> bool:
    """Pods of other namespaces have policies of their own, which nobody here knows."""
    out = policies_for(build, source[1], "Egress") if source and source[0] == HOME else []
    into = policies_for(build, target[1], "Ingress") if target and target[0] == HOME else []
    leaves = not out or any(lets(rule, "to", port, target) for one in out for rule in one["spec"].get("egress", []))
    enters = not into or any(lets(rule, "from", port, source) for one in into for rule in one["spec"].get("ingress", []))
    return leaves and enters


def arrows_are_those_of_the_picture(build: Build, _root: pathlib.Path):
    pods = {name_of(workload): workload for workload in build.workloads()}
    places = {name: (HOME, pod(workload)["metadata"]["labels"]) for name, workload in pods.items()}
    listening = {
        name: {port["containerPort"] for one in containers(workload) for port in one.get("ports", [])}
        for name, workload in pods.items()
    }
    if build.of("Cluster", "PodMonitor"):
        for name, (space, labels, ports) in OF_OPERATORS.items():
            places[name], listening[name] = (space, labels), ports
    every_port = set().union(*listening.values()) | {22, 80, 443, 5222, 6443, 10250}
    drawn = set()
    for source in [*places, WORLD]:
        at_home = source in places and places[source][0] == HOME
        abroad = source in places and not at_home
        for target, (space, _) in places.items():
            # What others do among themselves is not the mesh's; of what they may do here, what the
            # whole world may is said once.
            if space != HOME and not at_home:
                continue
            for port in every_port if space == HOME else listening[target]:
                if may(build, places.get(source), places[target], port) and not (abroad and may(build, None, places[target], port)):
                    drawn.add((source, target, port))
        if at_home:
            drawn |= {(source, WORLD, port) for port in every_port if may(build, places[source], None, port)}
    for arrow in sorted(drawn - INTENDED[build.name], key=str):
        yield f"{arrow} is open, and in no picture"
    for arrow in sorted(INTENDED[build.name] - drawn, key=str):
        yield f"{arrow} is closed"
    for source, target, port in INTENDED[build.name]:
        if target != WORLD and port not in listening.get(target, ()):
            yield f"nothing listens at {target} on {port}"


def nothing_leaves_for_other_namespaces_but_names(build: Build, _root: pathlib.Path):
    if build.of("PodMonitor"):
        return
    for policy in build.of("NetworkPolicy"):
        for word, peers in (("egress", "to"), ("ingress", "from")):
            for rule in policy["spec"].get(word, []):
                for peer in rule.get(peers, []):
                    if "namespaceSelector" not in peer:
                        continue
                    space = peer["namespaceSelector"].get("matchLabels", {}).get("kubernetes.io/metadata.name")
                    reached = {(space, port["port"], port.get("protocol", "TCP")) for port in rule["ports"]}
                    if word == "ingress" or not reached <= NAMES:
                        yield f"{title(policy)}: {reached}"


def private_networks_are_not_the_world(build: Build, _root: pathlib.Path):
    """Whoever breaks into a listener gets no further than Telegram."""
    for policy in build.of("NetworkPolicy"):
        for rule in policy["spec"].get("egress", []):
            for block in (peer["ipBlock"] for peer in rule.get("to", []) if "ipBlock" in peer):
                left_out = [ipaddress.ip_network(network) for network in block.get("except", [])]
                for inside in ("10.96.0.1", "169.254.169.254", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fd00::1", "fe80::1"):
                    address = ipaddress.ip_address(inside)
                    network = ipaddress.ip_network(block["cidr"])
                    if address.version == network.version and address in network and not any(address in one for one in left_out if one.version == address.version):
                        yield f"{title(policy)}: {inside} is reached"


CHECKS = [
    arrows_are_those_of_the_picture,
    nothing_leaves_for_other_namespaces_but_names,
    private_networks_are_not_the_world,
]
