"""The parts at work, each with its own user: nats-server with the deployed configuration, the keys and
certificates that are made for a cluster, and the binaries, told what the dev overlay's pods are told."""

import json
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

import code_facts
import manifests
from manifests import Build, pod, title

LIMIT_S = 90
PARTS = ["Job/topology", "Deployment/telegram-sim", "Job/sim-sessions", "StatefulSet/listener", "Deployment/gateway"]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Stage:
    """A folder, and what runs in it."""

    def __init__(self, build: Build, root: pathlib.Path, folder: pathlib.Path):
        self.build, self.root, self.folder = build, root, folder
        self.secrets = folder / "secrets"
        self.processes: dict[str, subprocess.Popen] = {}
        self.ports = {name: free_port() for name in ("client", "monitor", "mtproto", "control", "http")}
        self.admin: dict[str, int] = {}
        subprocess.run([sys.executable, root / "deploy/make_secrets.py", self.secrets, "--host", "127.0.0.1"], check=True, capture_output=True)

    def start_nats(self):
        place = self.folder / "nats"
        (place / "secret").mkdir(parents=True)
        config = next(one for one in self.build.of("ConfigMap") if "nats.conf" in one["data"])
        for file, text in config["data"].items():
            (place / file).write_text(text)
        for file in ("seal.conf", "users.conf"):
            shutil.copy(self.secrets / "nats" / file, place / "secret")
        beside = pathlib.Path(sys.executable).parent / "nats-server"
        program = str(beside) if beside.exists() else shutil.which("nats-server") or "nats-server"
        given = {
            "POD_NAME": "nats-0",
            "NATS_PID": str(place / "pid"),
            "NATS_STORE": str(place / "store"),
            "NATS_TLS_CERT": str(self.secrets / "nats-tls/tls.crt"),
            "NATS_TLS_KEY": str(self.secrets / "nats-tls/tls.key"),
        }
        ports = ["--addr", "127.0.0.1", "--port", str(self.ports["client"]), "--http_port", str(self.ports["monitor"])]
        self.spawn("nats", [program, "--config", str(place / "nats.conf"), *ports], given)
        self.until(lambda: self.answers(self.ports["monitor"], "/healthz"), "nats-server is healthy")

    def told(self, part: str) -> tuple[list, dict]:
        """Command and variables of a part's container, with the addresses of this machine."""
        workload = next(one for one in self.build.workloads() if title(one) == part)
        one = manifests.containers(workload)[0]
        mounts = {mount["mountPath"]: mount["name"] for mount in one.get("volumeMounts", [])}
        volumes = {volume["name"]: volume for volume in pod(workload)["spec"].get("volumes", [])}
        given = {}
        for name, value in code_facts.settings_of(self.build, one).items():
            value = value or part.lower().replace("/", "-")
            place, _, file = value.rpartition("/")
            if place in mounts and "secret" in volumes[mounts[place]]:
                value = str(self.secrets / volumes[mounts[place]]["secret"]["secretName"] / file)
            elif place in mounts:
                (self.folder / file).write_text(self.build.named("ConfigMap")[volumes[mounts[place]]["configMap"]["name"]]["data"][file])
                value = str(self.folder / file)
            given[name] = self.here(value)
        # No database, nobody who takes traces.
        for absent in ("DATABASE_URL_FILE", "OTEL_EXPORTER_OTLP_ENDPOINT"):
            given.pop(absent, None)
        listens = {"GATEWAY_LISTEN": "http", "SIM_LISTEN": "mtproto", "SIM_CONTROL": "control"}
        for name, port in listens.items():
            if name in given:
                given[name] = f"127.0.0.1:{self.ports[port]}"
        if "ADMIN_LISTEN" in given:
            self.admin[part] = free_port()
            given["ADMIN_LISTEN"] = f"127.0.0.1:{self.admin[part]}"
        command = [self.here(word) for word in one["command"]]
        return [str(self.root / "target/release" / command[0]), *command[1:]], given

    def here(self, text: str) -> str:
        for address, port in (("nats.tgmesh.svc:4222", "client"), ("telegram-sim.tgmesh.svc:4430", "mtproto"), ("telegram-sim.tgmesh.svc:4431", "control")):
            text = text.replace(address, f"127.0.0.1:{self.ports[port]}")
        return text

    def spawn(self, name: str, command: list, given: dict) -> subprocess.Popen:
        log = open(self.folder / f"{name.replace('/', '-')}.log", "w")
        given = {"PATH": "/usr/bin:/bin", "HOME": str(self.folder), **given}
        self.processes[name] = subprocess.Popen(command, env=given, stdout=log, stderr=subprocess.STDOUT)
        return self.processes[name]

    def log(self, name: str) -> str:
        return (self.folder / f"{name.replace('/', '-')}.log").read_text(errors="replace")

    def answers(self, port: int, path: str) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def until(self, condition, what: str):
        end = time.monotonic() + LIMIT_S
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"not within {LIMIT_S} s: {what}")
            time.sleep(0.1)

    def stop(self):
        for process in reversed(self.processes.values()):
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def every_part_works_with_its_own_user(build: Build, root: pathlib.Path):
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(build, root, pathlib.Path(folder))
        try:
            stage.start_nats()
            for part in PARTS:
                process = stage.spawn(part, *stage.told(part))
                if part.startswith("Job/"):
                    if process.wait(LIMIT_S) != 0:
                        yield f"{part} ended with {process.returncode}: {stage.log(part)[-400:]}"
                        return
                else:
                    stage.until(lambda: stage.answers(stage.admin[part], "/readyz"), f"{part} is ready; its log ends: {stage.log(part)[-400:]}")
            # Its way is whole: the stream holds what the simulator posts.
            state = f"http://127.0.0.1:{stage.ports['monitor']}/jsz?acc=TGMESH&streams=true"

            def stored() -> int:
                with urllib.request.urlopen(state, timeout=5) as answer:
                    streams = json.load(answer)["account_details"][0]["stream_detail"]
                return next(one["state"]["messages"] for one in streams if one["name"] == "DETECTIONS")

            stage.until(lambda: stored() > 0, "detections are in the stream")
        except (TimeoutError, subprocess.TimeoutExpired) as error:
            yield str(error)
        finally:
            stage.stop()
        refused = [line for line in stage.log("nats").splitlines() if "Violation" in line]
        yield from refused[:10]
