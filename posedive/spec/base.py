"""What every spec has: frozen, no unknown keys, a canonical document, a digest of what is asked."""

import hashlib
import json
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError


class Part(BaseModel):
    """A mapping inside a job file."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=()
    )

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        # Pydantic reads true as 1. Text that is a number ('1e-5', text by YAML 1.1) stays welcome.
        field = cls.model_fields[info.field_name or ""]
        if isinstance(value, bool) and field.annotation is not bool:
            raise PydanticCustomError("true_is_no_number", "true is no number")
        return value


class Spec(Part):
    """A whole job file. INCIDENTAL names fields that move or speed up a run, but not its result."""

    INCIDENTAL: ClassVar[tuple[str, ...]] = ()

    def document(self) -> dict[str, Any]:
        """The whole spec with its defaults, as plain JSON values; `load_job` reads it back."""
        return self.model_dump(mode="json")

    def asked(self) -> dict[str, Any]:
        """The document less INCIDENTAL: equal for two specs that ask for the same result."""
        document = self.document()
        for path in self.INCIDENTAL:
            *parents, key = path.split(".")
            node = document
            for parent in parents:
                node = node[parent]
            del node[key]
        return document

    def digest(self) -> str:
        """sha256 of `asked()` in canonical JSON, hexadecimal."""
        canonical = json.dumps(self.asked(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()
