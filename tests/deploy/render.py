"""Renders and validates manifests with the programs that do so at a hospital: Helm, kubectl, kubernetes-validate.

  render.py helm CHART VALUES       the chart with a file of values, as a JSON list of objects
  render.py kustomize DIRECTORY     the same of a kustomization
  render.py all DIRECTORY           the chart with every file of values and every overlay, as YAML files
  render.py validate VERSION...     reads such a list, writes a JSON list of complaints

Runs in the Python environment target/deploy-tools, which `cargo xtask test` makes.
"""

import json
import subprocess
import sys
from pathlib import Path

import yaml


def objects(text):
    return [entry for entry in yaml.safe_load_all(text) if entry]


def helm(chart, values):
    import helm_python

    given = yaml.safe_load(Path(values).read_text(encoding="utf-8")) or {}
    with helm_python.Chart.load(chart) as loaded:
        loaded.validate_schema(given)
        rendered = loaded.render(given, name="release", namespace="hospital")
    notes = [text for name, text in rendered.items() if name.endswith("NOTES.txt")]
    manifests = [text for name, text in sorted(rendered.items()) if name.endswith(".yaml")]
    return {"objects": [entry for text in manifests for entry in objects(text)], "notes": "".join(notes)}


def kustomize(directory):
    kubectl = Path(sys.executable).parent / "kubectl"
    run = subprocess.run([kubectl, "kustomize", directory], capture_output=True, text=True, check=False)
    if run.returncode != 0:
        sys.exit(run.stderr)
    return {"objects": objects(run.stdout)}


def every(directory):
    deploy = Path(__file__).resolve().parents[2] / "deploy"
    chart = deploy / "helm/aimis-gateway"
    rendered = {f"helm-{values.stem}": helm(chart, values) for values in sorted(chart.glob("ci/*-values.yaml"))}
    rendered |= {f"kustomize-{one.name}": kustomize(one) for one in sorted((deploy / "kustomize/overlays").iterdir())}
    for name, answer in rendered.items():
        (Path(directory) / f"{name}.yaml").write_text(yaml.safe_dump_all(answer["objects"]), encoding="utf-8")
    return sorted(rendered)


def validate(versions):
    """Strict: a key that the kind does not have is a complaint. Kinds of operators have no schema here."""
    import kubernetes_validate

    complaints = []
    for entry in json.load(sys.stdin):
        for version in versions:
            name = f"{entry['kind']}/{entry['metadata']['name']} on {version}"
            try:
                kubernetes_validate.validate(entry, version, strict=True)
            except kubernetes_validate.SchemaNotFoundError:
                complaints.append(f"{name}: no schema")
            except kubernetes_validate.ValidationError as error:
                complaints.append(f"{name}: {'.'.join(map(str, error.path))}: {error.message}")
    return complaints


def main():
    match sys.argv[1:]:
        case ["helm", chart, values]:
            answer = helm(chart, values)
        case ["kustomize", directory]:
            answer = kustomize(directory)
        case ["all", directory]:
            answer = every(directory)
        case ["validate", *versions]:
            answer = validate(versions)
        case _:
            sys.exit(__doc__)
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
