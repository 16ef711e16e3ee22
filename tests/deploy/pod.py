"""Builds the image and imitates the pods of deploy/kustomize with podman, as root and without a cluster.

  pod.py BINARY      a static binary; `cargo xtask package pod` makes one and starts this

Everything happens in namespaces of its own below a temporary directory, and is gone at the end. podman knows neither
native sidecars nor startup probes, so containers are started in the kubelet's order, each after the probe before it;
volumes of Secrets and ConfigMaps are directories as the kubelet makes them, with a link ..data that is swapped.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from render import kustomize

HERE = Path(__file__).resolve().parent
DEPLOY = HERE.parents[1] / "deploy"
USER = 65532
FIRST, SECOND = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"
PATH = "/thirdparty/patientStudies/900001"
QUERY = json.dumps({
    "phoneNum": "13800138000", "idNum": "11010119000101009X", "hospitalId": "H0001", "unionId": "U0001",
    "studyType": 0, "dataFlag": 1, "usage": 0,
    "studyDateBegin": "2024-01-01 00:00:00", "studyDateEnd": "2025-12-31 23:59:59",
})
CONTAINERS_CONF = """\
[containers]
default_ulimits=["nofile=4096:4096","nproc=4096:4096"]
log_driver="k8s-file"
[engine]
runtime="crun"
events_logger="file"
cgroup_manager="cgroupfs"
"""


def tell(text):
    print(text, flush=True)


def run(*command, check=True):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, timeout=120)
    if check and done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done


class Trial:
    """A store of podman's and what is in it."""

    def __init__(self, directory):
        self.directory = directory
        configuration = directory / "containers.conf"
        configuration.write_text(CONTAINERS_CONF)
        os.environ["CONTAINERS_CONF"] = str(configuration)
        self.store = ("--root", directory / "store", "--runroot", directory / "run")
        self.networks = ("--network-config-dir", directory / "networks")

    def podman(self, *arguments, check=True):
        return run("podman", *self.store, *self.networks, *arguments, check=check)

    def inspect(self, name):
        return json.loads(self.podman("inspect", name).stdout)[0]

    def build(self, context, name):
        run("buildah", *self.store, "bud", "--pull-never", "--isolation", "chroot", "--format", "docker",
            "-t", name, context)

    def mounted(self, name, files, mode=0o440):
        """A volume as the kubelet writes it: files are links to ..data, which is a link to the newest directory."""
        volume = self.directory / "volumes" / name
        volume.mkdir(parents=True, exist_ok=True)
        version = Path(tempfile.mkdtemp(prefix="..2026_", dir=volume))
        version.chmod(0o755)
        for file, content in files.items():
            (version / file).write_text(content)
            os.chown(version / file, 0, USER)
            (version / file).chmod(mode)
            if not (volume / file).is_symlink():
                (volume / file).symlink_to(f"..data/{file}")
        old = (volume / "..data").resolve() if (volume / "..data").exists() else None
        (volume / "..data_tmp").symlink_to(version.name)
        (volume / "..data_tmp").rename(volume / "..data")
        if old:
            shutil.rmtree(old)
        return volume

    def pod(self, workload, volumes):
        """Creates the pod of a Deployment or StatefulSet, without starting it. Returns its containers in order."""
        name = workload["metadata"]["name"]
        spec = workload["spec"]["template"]["spec"]
        sidecars = [one for one in spec.pop("initContainers", []) if one.pop("restartPolicy") == "Always"]
        containers = sidecars + spec["containers"]
        for container in containers:
            container["image"] = ("localhost/busybox:dev" if "busybox" in container["image"]
                                  else "localhost/aimis-gateway:dev")
            container["imagePullPolicy"] = "Never"
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                container.pop(probe, None)
        mounts = {mount["name"] for container in containers for mount in container.get("volumeMounts", [])}
        pod = {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {
                "containers": containers, "securityContext": spec["securityContext"], "restartPolicy": "Never",
                "volumes": [{"name": mount, "hostPath": {"path": str(volumes[mount])}} for mount in sorted(mounts)],
            },
        }
        file = self.directory / f"{name}.json"
        file.write_text(json.dumps(pod))
        self.podman("kube", "play", "--network", "n1", "--start=false", file)
        return [f"{name}-{container['name']}" for container in containers]

    def address(self, pod):
        infra = self.inspect(self.podman("pod", "inspect", pod, "--format", "{{.InfraContainerID}}").stdout.strip())
        return infra["NetworkSettings"]["Networks"]["n1"]["IPAddress"]

    def process(self, container):
        return self.inspect(container)["State"]["Pid"]

    def lever(self, path, order):
        """Pulls a lever of the simulator, which has them on its own loopback."""
        run("nsenter", "-n", "-t", self.process("simulator"), "curl", "-sfS", f"http://127.0.0.1:9081{path}",
            *(("-X", "DELETE") if order is None else ("-d", json.dumps(order))))


def get(address, path):
    try:
        with urllib.request.urlopen(f"http://{address}:9464{path}", timeout=2) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def until(what, good, patience=60):
    end = time.monotonic() + patience
    while not good():
        if time.monotonic() > end:
            sys.exit(f"waited for in vain: {what}")
        time.sleep(0.1)


def ask(url):
    """What the HIS does, as a command of its container."""
    return ["curl", "-sS", "--max-time", "20", "-H", "Content-Type: application/json", "-H", "Cache-Control: no-cache",
            "-d", QUERY, url + PATH]


class Load:
    """The HIS asks, `callers` at a time, until it is told to stop. Counts what was answered and what was not."""

    def __init__(self, trial, container, url, callers=4):
        self.answered, self.failed, self.stopping = 0, [], threading.Event()
        self.callers = [threading.Thread(target=self.call, args=(trial, container, url)) for _ in range(callers)]
        for caller in self.callers:
            caller.start()

    def call(self, trial, container, url):
        while not self.stopping.is_set():
            answer = trial.podman("exec", container, *ask(url), check=False)
            if answer.returncode == 0 and '"code":0' in answer.stdout:
                self.answered += 1
            else:
                self.failed.append(answer.stdout + answer.stderr)

    def until(self, count):
        wanted = self.answered + count
        until(f"{count} answers; failed: {self.failed[:3]}", lambda: self.answered >= wanted or self.failed)

    def stopped(self, what):
        self.stopping.set()
        for caller in self.callers:
            caller.join()
        if self.failed:
            sys.exit(f"{what}: {len(self.failed)} questions failed beside {self.answered}: {self.failed[0]}")
        tell(f"{what}: {self.answered} questions answered, none failed")


def image(trial, binary):
    context = trial.directory / "image"
    (context / "data").mkdir(parents=True)
    shutil.copy(binary, context / "aimis-gateway")
    shutil.copy(DEPLOY / "docker/Dockerfile.binary", context / "Dockerfile")
    trial.build(context, "localhost/aimis-gateway:dev")

    trial.podman("create", "--name", "look", "localhost/aimis-gateway:dev")
    listed = subprocess.run(
        ["bash", "-c", 'podman "$@" export look | tar -t', "bash", *map(str, trial.store)],
        capture_output=True, text=True, check=True).stdout.split()
    trial.podman("rm", "look")
    files = [name for name in listed if not name.endswith("/")]
    # What an engine puts into every container.
    own = [name for name in files if name.split("/")[0] not in ("dev", "proc", "run", "sys", "etc")]
    assert own == ["usr/bin/aimis-gateway"], own
    shell = trial.podman("run", "--rm", "--entrypoint", "/bin/sh", "localhost/aimis-gateway:dev", check=False)
    assert shell.returncode == 127, shell
    details = trial.inspect("localhost/aimis-gateway:dev")
    assert details["Config"]["User"] == f"{USER}:{USER}", details["Config"]
    assert details["Config"]["StopSignal"] == "SIGTERM"
    assert details["Healthcheck"]["Test"] == ["CMD", "/usr/bin/aimis-gateway", "healthcheck", "--ready"], details
    tell(f"image: one file, no shell, user {USER}, {details['Size'] / 1e6:.1f} MB")

    archive = trial.directory / "image.tar"
    trial.podman("save", "--quiet", "--format", "docker-archive", "--output", archive, "localhost/aimis-gateway:dev")
    # Fails where layers hide what others have, below nine tenths of what is in them.
    dive = run(Path(sys.executable).parent / "dive", "--ci", f"docker-archive://{archive}")
    archive.unlink()
    (efficiency,) = [line.split(":")[1].strip() for line in dive.stdout.splitlines() if "efficiency:" in line]
    tell(f"image: dive finds {efficiency} of it in use")

    his = trial.directory / "his"
    his.mkdir()
    # The wget of a static busybox of Debian crashes where there is no NSS, so curl comes along with its libraries.
    (his / "root/bin").mkdir(parents=True)
    shutil.copy(shutil.which("busybox"), his / "root/bin")
    shutil.copy(shutil.which("curl"), his / "root/bin")
    for word in run("ldd", shutil.which("curl")).stdout.split():
        if word.startswith("/"):
            library = his / "root" / word[1:]
            library.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(word, library)
    (his / "Dockerfile").write_text(
        'FROM scratch\nCOPY root /\nRUN ["/bin/busybox", "--install", "-s", "/bin"]\n')
    trial.build(his, "localhost/busybox:dev")


def simulator(trial):
    token = trial.directory / "simulator.token"
    token.write_text(FIRST)
    os.chown(token, USER, USER)
    trial.podman("run", "-d", "--name", "simulator", "--network", "n1", "--read-only", "--cap-drop", "all",
                 "-v", f"{token}:/token:ro", "localhost/aimis-gateway:dev",
                 "simulate", "--listen", "0.0.0.0:9080", "--token-file", "/token")


def workload(objects, kind, name):
    (one,) = [entry for entry in objects if entry["kind"] == kind and entry["metadata"]["name"] == name]
    return one


def configuration(objects, name, **further):
    """The gateway.json of a ConfigMap, whose name ends in a digest."""
    (one,) = [entry for entry in objects if entry["kind"] == "ConfigMap" and entry["metadata"]["name"].startswith(name)]
    content = json.loads(one["data"]["gateway.json"])
    # So many questions a second as one likes, and changes noticed soon.
    return json.dumps(content | {
        "limits": {"tenant": {"rate_per_s": 0, "in_flight": 0}},
        "reload": {"poll_s": 1},
        "rotation": {"canary_interval_ms": 200},
    } | further)


def restricted(trial, container):
    status = dict(line.split(":", 1) for line in Path(f"/proc/{trial.process(container)}/status").read_text().splitlines())
    found = {key: status[key].split()[0] for key in ("Uid", "Gid", "CapEff", "CapBnd", "NoNewPrivs", "Seccomp")}
    assert found == {"Uid": str(USER), "Gid": str(USER), "CapEff": "0" * 16, "CapBnd": "0" * 16,
                     "NoNewPrivs": "1", "Seccomp": "2"}, found
    assert trial.inspect(container)["HostConfig"]["ReadonlyRootfs"]


def sidecar(trial):
    objects = kustomize(DEPLOY / "kustomize/overlays/dev")["objects"]
    secrets = {"first-hospital.token": FIRST}
    gateway, his = trial.pod(workload(objects, "Deployment", "his"), {
        "aimis-gateway-config": trial.mounted(
            "sidecar-config", {"gateway.json": configuration(objects, "aimis-gateway-sidecar")}, 0o444),
        "aimis-gateway-secrets": trial.mounted("sidecar-secrets", secrets),
    })
    assert (gateway, his) == ("his-aimis-gateway", "his-his")

    trial.podman("start", gateway)
    address = trial.address("his")
    until("the startup probe", lambda: get(address, "/startupz") == 200)
    assert trial.inspect(his)["State"]["Status"] in ("created", "configured"), "the application waits for the gateway"
    trial.podman("start", his)
    tell("sidecar: the application is started behind the gateway's startup probe, at the pod's own address")

    restricted(trial, gateway)
    restricted(trial, his)
    trial.podman("exec", gateway, "/usr/bin/aimis-gateway", "healthcheck", "--ready")
    assert trial.podman("exec", his, *ask("http://127.0.0.1:8080")).stdout.find('"code":0') > 0
    outside = run("curl", "-s", f"http://{address}:8080/livez", check=False)
    assert outside.returncode == 7, "the LAN side is for this pod alone"
    tell("sidecar: user 65532, no capability, read-only root; answers on the pod's loopback and nowhere else")

    # The platform takes both tokens for a while, as in a real rotation; then the old one no longer.
    load = Load(trial, his, "http://127.0.0.1:8080")
    load.until(20)
    trial.lever("/token", {"appId": "900001", "token": SECOND, "also": FIRST})
    trial.mounted("sidecar-secrets", {"first-hospital.token": SECOND})
    until("the new token", lambda: "token_switched" in trial.podman("logs", gateway).stdout or load.failed)
    trial.lever("/token", {"appId": "900001", "token": SECOND})
    load.until(20)
    load.stopped("sidecar: the Secret's directory swapped under load")

    # The application has stopped; what it asked last is still on its way.
    trial.lever("/fault", {"fault": "latency", "ms": 3000})
    load = Load(trial, his, "http://127.0.0.1:8080")
    metric = f"http://{address}:9464/metrics"
    until("questions on their way", lambda: "\naimis_http_server_active_requests 4\n" in
          urllib.request.urlopen(metric, timeout=2).read().decode())
    load.stopping.set()
    trial.podman("kill", "-s", "TERM", gateway)
    load.stopped("sidecar: TERM with questions on their way")
    ended = trial.podman("wait", gateway).stdout.strip()
    assert ended == "0", f"the gateway ended with {ended}"
    trial.lever("/fault", None)
    trial.podman("pod", "rm", "-f", "his")


def deployment(trial):
    objects = kustomize(DEPLOY / "kustomize/overlays/single")["objects"]
    platform = {"platform": {"base_url": "http://simulator:9080", "allow_plaintext": True}}
    (gateway,) = trial.pod(workload(objects, "Deployment", "aimis-gateway"), {
        "aimis-gateway-config": trial.mounted(
            "lan-config", {"gateway.json": configuration(objects, "aimis-gateway-lan", **platform)}, 0o444),
        "aimis-gateway-secrets": trial.mounted("lan-secrets", {"first-hospital.token": SECOND}),
    })
    trial.podman("start", gateway)
    address = trial.address("aimis-gateway")
    until("the readiness probe", lambda: get(address, "/readyz") == 200)
    restricted(trial, gateway)

    trial.podman("run", "-d", "--name", "caller", "--network", "n1", "localhost/busybox:dev", "sleep", "infinity")
    load = Load(trial, "caller", f"http://{address}:8080")
    load.until(20)
    trial.podman("kill", "-s", "TERM", gateway)
    until("readiness says no", lambda: get(address, "/readyz") == 503)
    # drain.delay_ms: endpoints are taken out of the Service a while after readiness says no.
    load.until(8)
    load.stopped("deployment: TERM, and callers that come on until the Service knows")
    ended = trial.podman("wait", gateway).stdout.strip()
    assert ended == "0", f"the gateway ended with {ended}"


def callbacks(trial):
    objects = kustomize(DEPLOY / "kustomize/overlays/single")["objects"]
    data = trial.directory / "volumes/data"
    data.mkdir()
    # What fsGroup does to a fresh volume.
    os.chown(data, 0, USER)
    data.chmod(0o2770)
    (gateway,) = trial.pod(workload(objects, "StatefulSet", "aimis-gateway-callback"), {
        "aimis-gateway-config": trial.mounted(
            "callback-config", {"gateway.json": configuration(objects, "aimis-gateway-callback")}, 0o444),
        "aimis-gateway-secrets": trial.mounted("callback-secrets", {"first-hospital.token": SECOND}),
        "data": data,
    })
    trial.podman("start", gateway)
    address = trial.address("aimis-gateway-callback")
    until("the readiness probe", lambda: get(address, "/readyz") == 200)
    restricted(trial, gateway)
    key = (data / "keys/inbox.key").stat()
    assert (key.st_uid, key.st_mode & 0o777) == (USER, 0o600), key
    assert (data / "inbox.db").exists()
    trial.podman("stop", "-t", "30", gateway)
    assert trial.inspect(gateway)["State"]["ExitCode"] == 0
    tell("callbacks: inbox and key are on the volume, the rest of the root is read-only")


def lonely():
    """Makes a namespace a place for containers."""
    # crun refuses a mixture of cgroup versions; these mounts are of this namespace alone.
    targets = run("findmnt", "-rno", "TARGET", "-t", "cgroup2", check=False).stdout.split()
    mixed = run("findmnt", "-rno", "TARGET,OPTIONS", "-t", "cgroup", check=False).stdout.splitlines()
    targets += [line.split()[0] for line in mixed if "name=systemd" in line]
    for target in targets:
        run("umount", "-l", target)
    # Locks, sockets and networks of containers, apart from those of this machine.
    for place in ("/run", "/dev/shm"):
        run("mount", "-t", "tmpfs", "tmpfs", place)
    run("ip", "link", "set", "lo", "up")


def inside(binary, directory):
    lonely()
    trial = Trial(Path(directory))
    image(trial, binary)
    trial.podman("network", "create", "n1")
    simulator(trial)
    try:
        sidecar(trial)
        deployment(trial)
        callbacks(trial)
    finally:
        # Ends what it started; the namespace would, too, but leaves mounts of the store behind.
        trial.podman("pod", "rm", "-af", check=False)
        trial.podman("rm", "-af", check=False)
    tell("all is well")


def alone(script, usage, work):
    """Starts `script` again in namespaces of its own, where it does its `work`."""
    match sys.argv[1:]:
        case ["inside", binary, directory]:
            work(binary, directory)
        case [binary]:
            with tempfile.TemporaryDirectory() as directory:
                done = subprocess.run(
                    ["unshare", "-m", "-n", "-p", "-f", "--kill-child", "--mount-proc", "--propagation", "private",
                     sys.executable, script, "inside", Path(binary).resolve(), directory], check=False)
            sys.exit(done.returncode)
        case _:
            sys.exit(usage)


if __name__ == "__main__":
    alone(__file__, __doc__, inside)
