"""Launchers, against the schemas of those who read them: Ray, the KubeRay operator, hadolint, shellcheck."""

import copy
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from cluster.connection.runtime_env import COMMIT
from tests.support.checkout import PACKAGES

ROOT = Path(__file__).parents[2]
LAUNCHERS = ROOT / "cluster" / "launchers"
RAY_UP = ("aws.yaml", "gcp.yaml", "onprem.yaml")
CUSTOM = {"RayCluster": "ray.io_rayclusters.yaml", "RayJob": "ray.io_rayjobs.yaml"}
CRDS = ROOT.parent / "shared" / "kuberay-crds"
BIN = Path(sys.executable).parent


def manifests() -> list[dict[str, Any]]:
    paths = sorted((LAUNCHERS / "kuberay").glob("*.yaml"))
    return [document for path in paths for document in yaml.safe_load_all(path.read_text())]


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [document for document in manifests() if document["kind"] == kind]


def pod_specs() -> dict[str, dict[str, Any]]:
    """The pod template of every group, by kind and role."""
    (cluster,), (job,) = of_kind("RayCluster"), of_kind("RayJob")
    found = {"job submitter": job["spec"]["submitterPodTemplate"]}
    for name, spec in (("cluster", cluster["spec"]), ("job", job["spec"]["rayClusterSpec"])):
        found[f"{name} head"] = spec["headGroupSpec"]["template"]
        found |= {f"{name} {group['groupName']}": group["template"] for group in spec["workerGroupSpecs"]}
    return found


def test_every_launcher_is_looked_at() -> None:
    assert sorted(path.name for path in LAUNCHERS.iterdir()) == sorted(
        [*RAY_UP, "Dockerfile", "certificates.sh", "kuberay", "slurm.sh"]
    )
    assert len(manifests()) == 11
    assert len(pod_specs()) == 7


# --- ray up


def read(name: str) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((LAUNCHERS / name).read_text())
    return config


@pytest.mark.parametrize("name", RAY_UP)
def test_ray_accepts_its_launchers_and_refuses_a_misspelt_key(name: str) -> None:
    validate_config(prepare_config(read(name)))
    with pytest.raises(jsonschema.ValidationError, match="idle_timeout_minuets"):
        validate_config(prepare_config(read(name) | {"idle_timeout_minuets": 5}))


@pytest.mark.parametrize("name", RAY_UP)
def test_every_node_asks_for_the_token_and_the_dashboard_stays_at_home(name: str) -> None:
    config = read(name)
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.temper/token"
    assert any("chmod 600 ~/.ray/auth_token" in command for command in config["setup_commands"])
    for role in ("head", "worker"):
        (start,) = (one for one in config[f"{role}_start_ray_commands"] if "ray start" in one)
        assert start.startswith("export RAY_AUTH_MODE=token ")
        assert ("--dashboard-host=127.0.0.1" in start) == (role == "head")


@pytest.mark.parametrize("name", RAY_UP)
def test_the_files_that_are_shipped_exist(name: str) -> None:
    shipped = [local for remote, local in read(name)["file_mounts"].items() if remote.startswith("~/temper/")]
    assert set(PACKAGES) <= set(shipped)
    assert all((ROOT / local).exists() for local in shipped)


@pytest.mark.parametrize("name", RAY_UP[:2])
def test_labels_say_which_cloud_nodes_are_spot(name: str) -> None:
    types = read(name)["available_node_types"]
    market = {kind: node["labels"]["ray.io/market-type"] for kind, node in types.items()}
    assert market == {"head": "on-demand", "gpu_on_demand": "on-demand", "gpu_spot": "spot"}
    spot = {kind for kind, node in types.items() if "SPOT" in yaml.safe_dump(node["node_config"]).upper()}
    assert spot == {"gpu_spot"}


# --- KubeRay


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    """A CRD's schema as JSON Schema that knows no other keys than those it names, as the API server's does."""
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    made: dict[str, Any] = {}
    for key, value in schema.items():
        if key.startswith("x-kubernetes-"):
            continue
        if key == "properties":
            made[key] = {name: strict(one) for name, one in value.items()}
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            made[key] = strict(value)
        else:
            made[key] = value
    if "properties" in made and not schema.get("x-kubernetes-preserve-unknown-fields"):
        made.setdefault("additionalProperties", False)
    return made


def fill(schema: dict[str, Any], value: Any) -> None:
    """Write the schema's defaults into a document, as the API server does before it validates."""
    if isinstance(value, dict):
        for name, one in schema.get("properties", {}).items():
            if "default" in one:
                value.setdefault(name, copy.deepcopy(one["default"]))
            if name in value:
                fill(one, value[name])
    elif isinstance(value, list):
        for one in value:
            fill(schema.get("items", {}), one)


def check(document: dict[str, Any]) -> None:
    """Raises ValidationError where the operator's API would refuse a document."""
    definition = yaml.load(
        (CRDS / CUSTOM[document["kind"]]).read_bytes(), getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    )
    (version,) = (one for one in definition["spec"]["versions"] if f"ray.io/{one['name']}" == document["apiVersion"])
    schema = version["schema"]["openAPIV3Schema"]
    filled = copy.deepcopy(document)
    fill(schema, filled)
    filled["metadata"] = {}  # the API server's own, which the CRD leaves open
    jsonschema.Draft202012Validator(strict(schema)).validate(filled)


def nested(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The objects in which a key is misspelt for the test: shallow, and as deep as a container."""
    spec = document["spec"]
    yield spec
    cluster = spec.get("rayClusterSpec", spec)
    yield cluster["autoscalerOptions"]
    yield cluster["workerGroupSpecs"][0]["template"]["spec"]["containers"][0]["securityContext"]


@pytest.mark.skipif(not CRDS.is_dir(), reason="the custom resource definitions of KubeRay are not beside the checkout")
@pytest.mark.parametrize("kind", CUSTOM)
def test_the_operator_accepts_its_manifests_and_refuses_misspelt_keys(kind: str) -> None:
    (document,) = of_kind(kind)
    check(document)
    for number in range(3):
        wrong = copy.deepcopy(document)
        list(nested(wrong))[number]["misspelt"] = True
        with pytest.raises(jsonschema.ValidationError, match="misspelt"):
            check(wrong)


@pytest.mark.skipif(not CRDS.is_dir(), reason="the custom resource definitions of KubeRay are not beside the checkout")
def test_the_operator_accepts_what_readme_says_to_change() -> None:
    (written,) = of_kind("RayCluster")
    cluster = json.loads(json.dumps(written))  # in which groups share nothing
    spec = cluster["spec"]
    spec["enableInTreeAutoscaling"] = False
    for group in [spec["headGroupSpec"], *spec["workerGroupSpecs"]]:
        pod = group["template"]["spec"]
        pod["volumes"].append({"name": "runs", "persistentVolumeClaim": {"claimName": "temper-runs"}})
        pod["containers"][0]["volumeMounts"].append({"name": "runs", "mountPath": "/runs"})
    for group in spec["workerGroupSpecs"]:
        group["rayStartParams"] = {"num-gpus": "1"}
        for amount in group["template"]["spec"]["containers"][0]["resources"].values():
            amount["nvidia.com/mig-1g.10gb"] = amount.pop("nvidia.com/gpu")
    check(cluster)


def test_a_group_that_calls_itself_on_demand_takes_no_spot_node() -> None:
    (cluster,) = of_kind("RayCluster")
    for group in cluster["spec"]["workerGroupSpecs"]:
        pod, key = group["template"]["spec"], "cloud.google.com/gke-spot"
        if group["labels"]["ray.io/market-type"] == "spot":
            assert pod["nodeSelector"][key] == "true"
            assert any(toleration["key"] == key for toleration in pod["tolerations"])
        else:
            wanted = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
            assert wanted == {"nodeSelectorTerms": [{"matchExpressions": [{"key": key, "operator": "DoesNotExist"}]}]}


def test_a_job_runs_on_the_cluster_that_stands_alone() -> None:
    (cluster,), (job,) = of_kind("RayCluster"), of_kind("RayJob")
    assert job["spec"]["rayClusterSpec"] == cluster["spec"]
    assert job["spec"]["backoffLimit"] > 0
    assert "--or-resume" in job["spec"]["entrypoint"]
    assert (
        job["spec"]["submitterPodTemplate"]["spec"]["containers"][0]["image"]
        == (cluster["spec"]["headGroupSpec"]["template"]["spec"]["containers"][0]["image"])
    )


def test_the_cluster_asks_for_a_token_and_scales_groups_that_labels_tell_apart() -> None:
    (cluster,) = of_kind("RayCluster")
    spec = cluster["spec"]
    assert spec["authOptions"] == {"mode": "token", "secretName": "temper-token"}
    assert spec["enableInTreeAutoscaling"] is True
    assert spec["autoscalerOptions"]["version"] == "v2"
    market = {group["groupName"]: group["labels"]["ray.io/market-type"] for group in spec["workerGroupSpecs"]}
    assert market == {"gpu-on-demand": "on-demand", "gpu-spot": "spot"}
    locked = (ROOT / "requirements.lock").read_text().splitlines()
    assert f"ray=={spec['rayVersion']}" in locked


@pytest.mark.parametrize("name", pod_specs())
def test_every_container_is_restricted(name: str) -> None:
    template = pod_specs()[name]
    pod = template["spec"]
    assert template["metadata"]["labels"]["temper/role"] in ("head", "worker", "submitter")
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    (container,) = pod["containers"]
    assert {"name": "RAY_AUTH_MODE", "value": "token"} in container["env"]
    assert container["resources"]["requests"].keys() >= {"cpu", "memory"} <= container["resources"]["limits"].keys()
    assert not any("kubernetes.io" in mount["mountPath"] for mount in container["volumeMounts"])
    assert {mount["name"] for mount in container["volumeMounts"]} <= {volume["name"] for volume in pod["volumes"]}
    contexts = [container["securityContext"]]
    if name == "cluster head":
        contexts.append(of_kind("RayCluster")[0]["spec"]["autoscalerOptions"]["securityContext"])
    for context in contexts:
        assert context == {
            "runAsNonRoot": True,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        }


def test_the_network_is_closed_but_for_what_is_named() -> None:
    policies = {one["metadata"]["name"]: one["spec"] for one in of_kind("NetworkPolicy")}
    assert policies.pop("deny-all") == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    into: set[tuple[str, int | None]] = set()
    out: set[tuple[str, int | None]] = set()
    for name, spec in policies.items():
        assert sorted(spec["policyTypes"]) == sorted(way.capitalize() for way in ("egress", "ingress") if way in spec)
        for way, peers, opened in (("ingress", "from", into), ("egress", "to", out)):
            for rule in spec.get(way, []):
                assert rule[peers], f"{name}: no peers are all peers"
                opened |= {(name, port["port"]) for port in rule.get("ports", [{"port": None}])}
    assert into == {("cluster", None), ("job-server", 8265)}
    assert out == {
        ("cluster", None), ("dns", 53), ("submitter", 8265), ("storage", 443), ("autoscaler", 6443),
    }  # fmt: skip
    assert {document["metadata"].get("namespace", "temper") for document in manifests()} == {"temper"}
    (namespace,) = of_kind("Namespace")
    assert namespace["metadata"]["labels"] == {"pod-security.kubernetes.io/enforce": "restricted"}


# --- Docker and Slurm


def lint(tool: str, text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(BIN / tool), "-"], input=text, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("tool", "path", "flaw"),
    [
        ("hadolint", LAUNCHERS / "Dockerfile", "\nRUN cd /tmp\n"),
        ("shellcheck", LAUNCHERS / "slurm.sh", "\necho $1\n"),
        ("shellcheck", LAUNCHERS / "certificates.sh", "\necho $1\n"),
        ("shellcheck", ROOT / ".ci" / "run", "\necho $1\n"),
    ],
    ids=["Dockerfile", "slurm.sh", "certificates.sh", "ci"],
)
def test_linters_find_nothing_but_what_is_put_in(tool: str, path: Path, flaw: str) -> None:
    clean = lint(tool, path.read_text())
    assert clean.returncode == 0, clean.stdout
    assert lint(tool, path.read_text() + flaw).returncode == 1


def test_the_image_says_which_commit_it_holds() -> None:
    text = (LAUNCHERS / "Dockerfile").read_text()
    assert 'ARG COMMIT=""' in text
    assert f" {COMMIT}=$COMMIT\n" in text


def test_the_image_is_pinned_and_runs_as_nobody_special() -> None:
    lines = (LAUNCHERS / "Dockerfile").read_text().splitlines()
    (base,) = (line for line in lines if line.startswith("FROM "))
    assert base.split(":")[1].startswith("3.11.")
    assert next(line for line in reversed(lines) if line.startswith("USER ")) == "USER 1000:1000"
    assert any("--constraint requirements.lock" in line for line in lines)
    copied = {part for line in lines if line.startswith("COPY ") for part in line.split()[1:-1]}
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied == kept
