"""What the stack installs over a matrix of values, and that its parts are told what is right."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from marketpipeline.plan import plan
from marketpipeline.spec import load_object
from marketpipeline_operator.names import Object

from tests.conftest import PROJECT
from tests.helm.market_stack.conftest import STACK
from tests.helm.marketpipeline_operator.support import NAMESPACE, Helm, named
from tests.support.golden import check_golden
from tests.support.prometheus import UnitTest, prometheus_program, verdicts

CHECKSUM = "checksum/config"
GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(path.name.removesuffix("-values.yaml") for path in (STACK / "ci").iterdir())
RELEASE = "market-stack"


def values(case: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((STACK / "ci" / f"{case}-values.yaml").read_text())
    return found


@pytest.fixture(scope="module")
def rendered(stack: Helm) -> dict[str, list[Object]]:
    return {case: stack.render(RELEASE, **values(case)) for case in CASES}


def pods(things: list[Object]) -> dict[str, Object]:
    """The Pod of each thing that has one."""
    found = {}
    for thing in things:
        spec = thing.get("spec", {}).get("template", {}).get("spec") if thing["kind"] != "Pod" else thing["spec"]
        if spec:
            found[thing["metadata"]["name"]] = spec
    return found


def test_all_objects_of_all_cases(rendered: dict[str, list[Object]]) -> None:
    """Passwords are random; dashboards and alert rules have golden files of their own, so no hash of them is kept."""
    for case, things in rendered.items():
        kept = [copy.deepcopy(thing) for thing in things if "-grafana-" not in thing["metadata"]["name"]]
        for thing in kept:
            thing.get("data", {}).pop("alerts.yaml", None)
            if thing["kind"] == "Secret" and "data" in thing:
                thing["data"] = {key: f"{len(value)} letters" for key, value in thing["data"].items()}
            template = thing.get("spec", {}).get("template", {}).get("metadata", {})
            if CHECKSUM in template.get("annotations", {}):
                template["annotations"][CHECKSUM] = "of its configuration"
        kept.sort(key=lambda thing: (thing["kind"], thing["metadata"]["name"], thing["metadata"]["namespace"]))
        text = yaml.safe_dump_all(kept, sort_keys=False, width=120, allow_unicode=True)
        check_golden(GOLDEN / f"{case}.yaml", text)


def test_grafana_has_the_dashboards_of_the_stores_that_are_there(rendered: dict[str, list[Object]]) -> None:
    for case, stores in {"default": {"timescale"}, "everything": {"timescale", "clickhouse", "prometheus"}}.items():
        things = rendered[case]
        config = named(things, "ConfigMap")
        boards = {
            name: text for each in config.values() for name, text in each["data"].items() if name.endswith(".json")
        }
        files = {
            f"{store}-{path.name}": path for store in stores for path in (STACK / "files/dashboards" / store).iterdir()
        }
        assert boards.keys() == files.keys()
        assert all(json.loads(boards[name]) == json.loads(path.read_text()) for name, path in files.items())
        sources = yaml.safe_load(config[f"{NAMESPACE}/{RELEASE}-grafana"]["data"]["sources.yaml"])["datasources"]
        assert {json.loads(text)["templating"]["list"][0]["query"] for text in boards.values()} == {
            source["type"] for source in sources
        }
        (volume,) = [each for each in pods(things)[f"{RELEASE}-grafana"]["volumes"] if each["name"] == "dashboards"]
        mounted = {f"{NAMESPACE}/{source['configMap']['name']}" for source in volume["projected"]["sources"]}
        assert mounted == {name for name in config if "-grafana-" in name}


def test_passwords_of_data_sources_are_variables_that_the_pod_has(rendered: dict[str, list[Object]]) -> None:
    for case in ("default", "everything", "external"):
        config = named(rendered[case], "ConfigMap")[f"{NAMESPACE}/{RELEASE}-grafana"]["data"]["sources.yaml"]
        (container,) = pods(rendered[case])[f"{RELEASE}-grafana"]["containers"]
        variables = {each["name"] for each in container["env"] if "valueFrom" in each}
        assert set(re.findall(r"\$(\w+)", config)) <= variables, case


def test_pods_are_restricted_and_have_resources_and_probes(rendered: dict[str, list[Object]]) -> None:
    for case, things in rendered.items():
        for name, pod in pods(things).items():
            assert pod["securityContext"]["runAsNonRoot"] is True, name
            assert pod["securityContext"]["runAsUser"] > 0
            assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            for container in [*pod.get("initContainers", []), *pod["containers"]]:
                assert container["securityContext"] == {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                }, (case, name)
                assert container["resources"].keys() == {"requests", "limits"}, (case, name)
                assert not container["image"].endswith((":", ":latest")), container["image"]
                if pod.get("restartPolicy") != "Never" and container in pod["containers"]:
                    assert container.keys() >= {"readinessProbe", "livenessProbe"}, name
                mounts = {mount["name"] for mount in container.get("volumeMounts", [])}
                volumes = {volume["name"] for volume in pod.get("volumes", [])}
                assert mounts <= volumes | {"data"}, (case, name)


def test_the_pipeline_fits_the_stack(rendered: dict[str, list[Object]]) -> None:
    """Every address is a Service at its port, or what the values say; every Secret is made or named by the values."""
    for case, things in rendered.items():
        (thing,) = named(things, "MarketPipeline").values()
        assert plan(load_object(thing)).workloads
        services = {service["metadata"]["name"]: service for service in named(things, "Service").values()}
        text = json.dumps(thing["spec"])
        for host, port in re.findall(r"(?:[@/\" ])([a-z0-9-]+)(?:\.marketpipeline-system\.svc)?:(\d+)", text):
            if host in services:
                assert int(port) in [each["port"] for each in services[host]["spec"]["ports"]], (case, host)
            else:
                assert host in json.dumps(values(case)), (case, host)
        made = {secret["metadata"]["name"]: secret for secret in named(things, "Secret").values()}
        for sink in thing["spec"]["sinks"].values():
            if reference := sink.get("passwordSecret"):
                known = reference["key"] in made.get(reference["name"], {}).get("data", {})
                assert known or reference["name"] in json.dumps(values(case)), (case, reference)


def test_what_a_user_says_of_the_pipeline_is_over_what_the_stack_says(rendered: dict[str, list[Object]]) -> None:
    (thing,) = named(rendered["external"], "MarketPipeline").values()
    assert thing["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert thing["spec"]["sinks"]["timescale"]["replicas"] == 2
    assert thing["spec"]["sinks"]["timescale"]["caSecret"] == {"name": "history-authority", "key": "ca.crt"}
    assert thing["spec"]["broker"]["replicationFactor"] == 3
    (test,) = pods(named(rendered["external"], "Pod").values())["market-stack-test"]["containers"]  # type: ignore[arg-type]
    assert test["args"][1:] == ["http://markets-api:8080", "binance:SOLUSDT", "5m", "300"]
    assert not named(rendered["external"], "Job"), "a pipeline that is kept is not removed"
    (small,) = named(rendered["small"], "MarketPipeline").values()
    assert small["spec"]["sinks"]["redis"] == {"enabled": False}


def test_a_new_version_of_the_chart_alone_restarts_nothing(stack: Helm, tmp_path: Path) -> None:
    """Pods have no version of it, and none of its passwords."""
    newer = tmp_path / "market-stack"
    subprocess.run(["cp", "-r", str(STACK), str(newer)], check=True)
    text = (newer / "Chart.yaml").read_text()
    (newer / "Chart.yaml").write_text(re.sub(r"ersion: \d+\.\d+\.\d+$", "ersion: 99.0.0", text, flags=re.MULTILINE))
    again = Helm(stack.program, stack.home, newer).render(RELEASE, **values("everything"))
    before = stack.render(RELEASE, **values("everything"))
    templates = [
        {name: thing["spec"] for kind in ("StatefulSet", "Deployment") for name, thing in named(things, kind).items()}
        for things in (before, again)
    ]
    assert len(templates[0]) == 10
    assert templates[0] == templates[1]


def test_every_service_has_both_families_where_the_cluster_has(rendered: dict[str, list[Object]]) -> None:
    for things in rendered.values():
        services = named(things, "Service")
        assert services
        assert {service["spec"]["ipFamilyPolicy"] for service in services.values()} == {"PreferDualStack"}


def test_passwords_are_made_kept_and_never_the_same(stack: Helm) -> None:
    first, second = (named(stack.render(RELEASE, **values("everything")), "Secret") for _ in range(2))
    drawn = [text for secrets in (first, second) for one in secrets.values() for text in one.get("data", {}).values()]
    assert len(drawn) == len(set(drawn)) == 20
    for secret in first.values():
        assert "alertmanager.yml" in secret.get("stringData", {}) or secret["metadata"]["annotations"] == {
            "helm.sh/resource-policy": "keep"
        }
    assert not named(stack.render(RELEASE, redis={"auth": {"existingSecret": "mine"}}), "Secret").get(
        f"{NAMESPACE}/{RELEASE}-redis"
    )


def test_prometheus_reads_its_configuration_and_alerts_on_the_pipeline(
    rendered: dict[str, list[Object]], tmp_path: Path
) -> None:
    config = named(rendered["everything"], "ConfigMap")[f"{NAMESPACE}/{RELEASE}-prometheus"]["data"]
    served = yaml.safe_load(config["prometheus.yml"])
    for job in served["scrape_configs"]:  # Debian's promtool knows no Kubernetes
        assert job.pop("kubernetes_sd_configs") == [
            {"role": "pod", "namespaces": {"names": [NAMESPACE]}},
        ]
    for name, text in (config | {"prometheus.yml": yaml.safe_dump(served)}).items():
        (tmp_path / name).write_text(text.replace("/etc/prometheus/", f"{tmp_path}/"))
    done = subprocess.run(
        [str(prometheus_program("promtool")), "check", "config", str(tmp_path / "prometheus.yml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    own = f'{{namespace="{NAMESPACE}", marketpipeline_dev_pipeline="crypto", pod="crypto-api-0"}}'
    tests = [
        UnitTest("MarketPipelineProcessDown", {f"up{own}": "0x20"}, True),
        UnitTest("MarketPipelineProcessDown", {f"up{own}": "1x20"}, False),
        UnitTest("MarketPipelineProcessDown", {}, True),
    ]
    assert verdicts(tmp_path, yaml.safe_load(config["alerts.yaml"]), tests) == ""


def test_the_programs_of_the_hooks_are_those_of_the_files(rendered: dict[str, list[Object]]) -> None:
    """`python -c` gets them whole, and they are Python."""
    for name, file in {"market-stack-test": "await_candle.py", "market-stack-removal": "remove_pipeline.py"}.items():
        (container,) = pods(rendered["default"])[name]["containers"]
        assert container["command"] == ["python", "-c"]
        assert container["args"][0].strip() == (STACK / "files" / file).read_text().strip()
        compile(container["args"][0], file, "exec")
    program = [
        sys.executable,
        str(STACK / "files" / "await_candle.py"),
        "http://127.0.0.1:9",
        "binance:BTCUSDT",
        "1m",
        "0",
    ]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "has no 1m candle of binance:BTCUSDT" in done.stderr


def test_each_decision_that_the_readme_names_is_there() -> None:
    """Links of the README lead to files."""
    for link in re.findall(r"\]\(([^)h][^)]*)\)", (STACK / "README.md").read_text()):
        assert (STACK / link).exists() or (PROJECT / link).exists(), link
