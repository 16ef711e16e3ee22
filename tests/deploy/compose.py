"""Starts compose.yaml and its companions of deploy/docker with podman, as root and without a registry.

  compose.py BINARY      a static binary; `cargo xtask package compose` makes one and starts this

Nothing is downloaded: the gateway's image is built by the Dockerfile for machines without network, and Prometheus,
Alertmanager and Redis are this machine's own programs, each in an image under the name that compose asks for. So the files are
tried, not those images. Grafana and PostgreSQL are not started.
"""

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

from pod import DEPLOY, FIRST, PATH, QUERY, Trial, alone, lonely, run, tell, until

COMPOSE = Path(sys.executable).parent / "docker-compose"
FILES = ("compose.yaml", "compose.observability.yaml", "compose.stores.yaml")
SERVICES = ("gateway", "simulator", "prometheus", "alertmanager", "redis")


def image(trial, binary):
    context = trial.directory / "image"
    (context / "data").mkdir(parents=True)
    shutil.copy(binary, context / "aimis-gateway")
    shutil.copy(DEPLOY / "docker/Dockerfile.binary", context / "Dockerfile")
    trial.build(context, "docker.io/library/aimis-gateway:0.1.0")


def stand_in(trial, service, program, names, dockerfile):
    """An image with programs of this machine, under the name of the one that a service asks for."""
    context = trial.directory / program
    shared = Path("/usr/share/prometheus/alertmanager")
    if program == "prometheus-alertmanager" and shared.exists():
        # Debian's has its templates outside of the program.
        shutil.copytree(shared, context / "root" / shared.relative_to("/"))
    (context / "data").mkdir(parents=True)
    (context / "tmp").mkdir()
    for source, name in ((shutil.which(program), names[0]), *((shutil.which(name), f"/usr/bin/{name}") for name in names[1:])):
        place = context / "root" / name[1:]
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, place)
        for word in run("ldd", source, check=False).stdout.split():
            if word.startswith("/"):
                library = context / "root" / word[1:]
                library.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(word, library)
    (context / "Dockerfile").write_text(f"FROM scratch\nCOPY root /\n{dockerfile}\n")
    trial.build(context, service["image"])


def get(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return json.load(answer)


def asked():
    request = urllib.request.Request("http://127.0.0.1:8080" + PATH, QUERY.encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)
    except OSError as error:
        return {"error": str(error)}


def found(query):
    """The value of an instant query, or nothing."""
    try:
        answer = get("http://127.0.0.1:9090/api/v1/query?query=" + urllib.request.quote(query))
    except OSError:
        return None
    result = answer["data"]["result"]
    return float(result[0]["value"][1]) if result else None


class Compose:
    """docker compose, with podman as its engine."""

    def __init__(self, trial, docker):
        socket = trial.directory / "podman.sock"
        with (trial.directory / "engine.log").open("w") as log:
            self.engine = subprocess.Popen(
                [str(part) for part in ("podman", *trial.store, *trial.networks, "system", "service", "--time=0",
                                        f"unix://{socket}")], stdout=log, stderr=log)
        until("podman's socket", socket.exists)
        os.environ["DOCKER_HOST"] = f"unix://{socket}"
        self.files = [part for name in FILES for part in ("-f", docker / name)]

    def __call__(self, *arguments, check=True):
        return run(COMPOSE, *self.files, *arguments, check=check)

    def end(self):
        self.engine.terminate()
        self.engine.wait()


def copied(directory):
    """deploy/ with secrets in it, as one who tries it makes them."""
    deploy = directory / "deploy"
    shutil.copytree(DEPLOY, deploy)
    secrets = deploy / "docker/secrets"
    secrets.mkdir(exist_ok=True)
    for name, content in {"first-hospital.token": FIRST, "grafana-admin": "unused", "postgres-password": "unused",
                          "redis.conf": "requirepass of-the-trial\n"}.items():
        (secrets / name).write_text(content)
        (secrets / name).chmod(0o444)
    return deploy / "docker"


def inside(binary, directory):
    lonely()
    directory = Path(directory)
    # Users of images have to get through.
    directory.chmod(0o755)
    trial = Trial(directory)
    image(trial, binary)
    compose = Compose(trial, copied(directory))
    services = json.loads(compose("config", "--format", "json").stdout)["services"]
    user = "COPY --chown=65534:65534 data /{0}\nUSER 65534:65534\n"
    stand_in(trial, services["prometheus"], "prometheus", ["/bin/prometheus"],
             user.format("prometheus") + 'ENTRYPOINT ["/bin/prometheus"]')
    stand_in(trial, services["alertmanager"], "prometheus-alertmanager", ["/bin/alertmanager"],
             user.format("alertmanager") + 'WORKDIR /alertmanager\nENTRYPOINT ["/bin/alertmanager"]')
    stand_in(trial, services["redis"], "redis-server", ["/usr/bin/redis-server", "redis-cli"], "COPY data /data")
    try:
        tell(compose("up", "--detach", "--no-build", "--pull=never", *SERVICES).stderr)
        until("an answer through the gateway", lambda: asked().get("code") == 0)
        tell("compose: the HIS's question is answered by the simulator, through the published port")
        health = trial.podman("healthcheck", "run", "aimis-gateway-gateway-1", check=False)
        assert health.returncode == 0, health
        until("Prometheus to scrape it", lambda: found('up{job="aimis-gateway"}') == 1)
        until("the question to be counted", lambda: (found('sum(aimis_requests_total{code_class="ok"})') or 0) >= 1)
        until("the rules", lambda: found('count(ALERTS) or vector(0)') is not None)
        assert len(get("http://127.0.0.1:9090/api/v1/rules")["data"]["groups"]) > 0
        managers = get("http://127.0.0.1:9090/api/v1/alertmanagers")["data"]["activeAlertmanagers"]
        assert len(managers) == 1, managers
        assert get("http://127.0.0.1:9093/api/v2/status")["config"]["original"]
        tell("compose: Prometheus scrapes the gateway, has its rules, and knows Alertmanager")
        refused = trial.podman("exec", "aimis-gateway-redis-1", "redis-cli", "ping")
        answered = trial.podman("exec", "aimis-gateway-redis-1", "redis-cli", "-a", "of-the-trial", "ping")
        assert "NOAUTH" in refused.stdout and "PONG" in answered.stdout, (refused, answered)
        tell("compose: Redis answers to those who know its password")
        compose("stop", "gateway")
        code = trial.inspect("aimis-gateway-gateway-1")["State"]["ExitCode"]
        assert code == 0, code
        compose("start", "gateway")
        until("the gateway again, with its volume", lambda: asked().get("code") == 0)
        compose("down", "--volumes")
        tell("compose: stopped with status 0, started again, taken down")
    finally:
        trial.podman("rm", "-af", "-t", "1", check=False)
        compose.end()
    tell("all is well")


if __name__ == "__main__":
    alone(__file__, __doc__, inside)
