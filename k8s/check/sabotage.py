"""A check that cannot fail is none: each is shown a mesh with one thing spoiled, and must say so."""

import copy
import pathlib

import arrows
import code_facts
import crds
import manifests
import names
import operators
import policies
from manifests import Build, containers, pod


def first(build: Build, kind: str, name: str) -> dict:
    return build.named(kind)[name]


def container(build: Build, kind: str, name: str) -> dict:
    return containers(first(build, kind, name))[0]


def spoil_field(build):
    first(build, "Deployment", "gateway")["spec"]["template"]["spec"]["containers"][0]["imagePullPolicies"] = "Always"


def spoil_config_map(build):
    container(build, "Deployment", "archiver")["envFrom"][0]["configMapRef"]["name"] = "elsewhere"


def spoil_selector(build):
    first(build, "Service", "nats")["spec"]["selector"] = {"app.kubernetes.io/name": "natz"}


def spoil_user(build):
    pod(first(build, "Deployment", "gateway"))["spec"]["securityContext"]["runAsUser"] = 0


def spoil_capability(build):
    container(build, "StatefulSet", "listener")["securityContext"]["capabilities"]["add"] = ["NET_ADMIN"]


def spoil_token(build):
    pod(first(build, "StatefulSet", "nats"))["spec"]["automountServiceAccountToken"] = True


def spoil_secret_by_variable(build):
    reference = {"secretKeyRef": {"name": "archiver", "key": "database-url"}}
    container(build, "Deployment", "archiver")["env"].append({"name": "DATABASE_URL", "valueFrom": reference})


def spoil_memory(build):
    del container(build, "Deployment", "gateway")["resources"]["limits"]


def spoil_probe(build):
    container(build, "Deployment", "gateway")["readinessProbe"]["httpGet"]["path"] = "/ready"


def spoil_image(build):
    container(build, "StatefulSet", "nats")["image"] = "nats:2.14.0-alpine"


def spoil_floating_image(build):
    container(build, "StatefulSet", "nats")["image"] = "nats:latest"


def spoil_budget(build):
    build.objects.remove(first(build, "PodDisruptionBudget", "gateway"))


def spoil_replicas(build):
    first(build, "StatefulSet", "listener")["spec"]["replicas"] = 2


def spoil_namespace(build):
    first(build, "Namespace", "tgmesh")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = "baseline"


def spoil_variable(build):
    container(build, "Deployment", "gateway")["env"].append({"name": "MAX_CONECTIONS", "value": "1"})


def spoil_setting(build):
    container(build, "Deployment", "archiver")["env"].append({"name": "BATCH_MAX_AGE", "value": "5"})


def spoil_port(build):
    container(build, "Deployment", "gateway")["ports"][0]["containerPort"] = 8081


def spoil_address(build):
    container(build, "Deployment", "gateway")["env"].append({"name": "NATS_URL", "value": "tls://nats.tgmesh.svc:4223"})


def spoil_secret(build):
    pod(first(build, "Deployment", "gateway"))["spec"]["volumes"][0]["secret"]["secretName"] = "gatway"


def open_an_arrow(build):
    rule = {"from": [{"podSelector": {}}], "ports": [{"port": 5432}]}
    first(build, "NetworkPolicy", "postgres")["spec"]["ingress"].append(rule)
    first(build, "NetworkPolicy", "grafana")["spec"]["egress"].append({"ports": [{"port": 5432}]})


def close_an_arrow(build):
    del first(build, "NetworkPolicy", "archiver")["spec"]["egress"][0]


def remove_the_default(build):
    build.objects.remove(first(build, "NetworkPolicy", "default-deny"))


def reach_the_node(build):
    blocks = first(build, "NetworkPolicy", "listener")["spec"]["egress"][-1]["to"]
    blocks[0]["ipBlock"]["except"].remove("169.254.0.0/16")


def spoil_operator_s_object(build):
    build.objects.append({"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "x", "namespace": "tgmesh"}, "spec": {"scaleTargetRef": {"nam": "x"}, "triggers": []}})


def spoil_login(build):
    first(build, "Cluster", "database")["spec"]["managed"]["roles"][1]["passwordSecret"]["name"] = "archiver"


def spoil_external_login(build):
    first(build, "ExternalSecret", "postgres-gateway")["spec"]["target"]["template"]["data"]["password"] = "{{ .archiver }}"


def spoil_role(build):
    first(build, "Cluster", "database")["spec"]["managed"]["roles"][2]["inRoles"] = ["tgmesh_owner"]


def let_everybody_try(build):
    first(build, "Cluster", "database")["spec"]["postgresql"]["pg_hba"].pop()


def spoil_rule(build):
    first(build, "PrometheusRule", "tgmesh")["spec"]["groups"][0]["rules"][0]["for"] = "3m"


def forget_a_monitor(build):
    build.objects.remove(first(build, "PodMonitor", "gateway"))


def ask_nobody(build):
    first(build, "ScaledObject", "archiver")["spec"]["triggers"][0]["metadata"]["serverAddress"] = "http://prometheus.tgmesh.svc:9090"


def let_strangers_in(build):
    rule = {"from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}}}], "ports": [{"port": 9090}]}
    first(build, "NetworkPolicy", "gateway-monitoring")["spec"]["ingress"] = [rule]


def name_a_port_at_length(build):
    container(build, "Deployment", "gateway")["ports"][0]["name"] = "websocket-clients"


def ask_for_too_much(build):
    container(build, "Deployment", "gateway")["resources"]["requests"]["memory"] = "1Gi"


def say_it_twice(build):
    container(build, "Deployment", "grafana")["env"].append({"name": "PROMETHEUS_URL", "value": "http://elsewhere:9090"})


DEEDS = [
    (spoil_field, manifests.objects_are_valid),
    (spoil_config_map, manifests.references_lead_somewhere),
    (spoil_selector, manifests.selectors_select_their_pods),
    (name_a_port_at_length, names.names_have_the_form_that_the_api_takes),
    (ask_for_too_much, names.requests_are_within_limits),
    (say_it_twice, manifests.nothing_is_said_twice),
    (spoil_user, policies.pods_are_restricted),
    (spoil_capability, policies.containers_are_restricted),
    (spoil_token, policies.nobody_has_a_token_of_the_api),
    (spoil_secret_by_variable, policies.secrets_are_files_that_only_the_pod_reads),
    (spoil_memory, policies.memory_is_bounded_and_work_is_asked_for),
    (spoil_floating_image, policies.images_have_a_version),
    (spoil_budget, policies.more_than_one_of_them_is_protected),
    (spoil_replicas, policies.production_is_three_of_everything_that_can_be),
    (spoil_namespace, policies.the_namespace_is_restricted),
    (spoil_probe, code_facts.probes_ask_what_is_answered),
    (spoil_image, code_facts.images_are_of_this_version),
    (spoil_variable, code_facts.variables_and_commands_exist),
    (spoil_setting, code_facts.a_service_s_settings_are_sound),
    (spoil_port, code_facts.ports_are_those_that_are_listened_on),
    (spoil_address, code_facts.addresses_are_services),
    (spoil_secret, code_facts.secrets_are_those_that_are_made),
    (open_an_arrow, arrows.arrows_are_those_of_the_picture),
    (close_an_arrow, arrows.arrows_are_those_of_the_picture),
    (remove_the_default, arrows.arrows_are_those_of_the_picture),
    (reach_the_node, arrows.private_networks_are_not_the_world),
    (spoil_operator_s_object, crds.objects_of_operators_are_as_their_references_say),
]

DEEDS_WITH_OPERATORS = [
    (spoil_login, operators.logins_of_the_database_are_made),
    (spoil_external_login, operators.logins_of_the_database_are_made),
    (spoil_role, operators.both_databases_have_the_same_users),
    (let_everybody_try, operators.both_databases_have_the_same_users),
    (spoil_rule, operators.rules_are_those_that_are_tested),
    (forget_a_monitor, operators.monitors_see_what_the_own_prometheus_sees),
    (let_strangers_in, arrows.arrows_are_those_of_the_picture),
    (ask_nobody, operators.addresses_within_the_cluster_are_somebody_s),
]


def unnoticed(builds: dict, root: pathlib.Path):
    """Deeds that the check in question does not see."""
    for name, deeds in (("prod", DEEDS), ("prod-operators", DEEDS_WITH_OPERATORS)):
        for deed, check in deeds:
            spoiled = Build(name, copy.deepcopy(builds[name].objects))
            deed(spoiled)
            if not list(check(spoiled, root)):
                yield f"{check.__name__} does not see {deed.__name__}"
