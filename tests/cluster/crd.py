"""A Kubernetes CRD's schema, made strict: what the API server would prune is refused here."""

import gzip
from pathlib import Path
from typing import Any

import jsonschema
import yaml


def validator(path: Path, version: str) -> jsonschema.Draft202012Validator:
    """path: a published CustomResourceDefinition, YAML in gzip."""
    # libyaml: these files are megabytes
    definition = yaml.load(gzip.decompress(path.read_bytes()), Loader=yaml.CSafeLoader)
    (schema,) = [
        each["schema"]["openAPIV3Schema"]
        for each in definition["spec"]["versions"]
        if each["name"] == version
    ]
    schema = strict(schema)
    # The API server knows these of any object.
    schema["properties"]["metadata"] = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "labels": {"type": "object"}},
        "additionalProperties": False,
    }
    return jsonschema.Draft202012Validator(schema)


def strict(schema: Any) -> Any:
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    told: dict[str, Any] = {key: strict(value) for key, value in schema.items()}
    if schema.get("x-kubernetes-int-or-string") is True:
        told = {"type": ["integer", "string"]}
    properties = isinstance(schema.get("properties"), dict)
    if properties and "additionalProperties" not in schema:
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            told["additionalProperties"] = False
    if schema.get("nullable") is True and isinstance(told.get("type"), str):
        told["type"] = [told["type"], "null"]
    return told
