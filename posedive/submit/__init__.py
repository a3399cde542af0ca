"""A job file on other machines: Ray's job API, or a KubeRay manifest. No torch."""
