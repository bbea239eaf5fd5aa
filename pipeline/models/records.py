"""Records of JSON that travel with the weights: checked once, and altered by nobody.

A record is checked against its schema when it is read, so that no page fails over a file that is
valid JSON but not what it should be. Keys that a schema does not name are left as they are.
"""

import json
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, NoReturn

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, TypeAdapter

Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(pattern=r"^\w[\w.-]*$")]  # in the folder itself


class Schema(BaseModel):
    """What a record has to hold. A number is a number, not a text that looks like one."""

    model_config = ConfigDict(strict=True, frozen=True)


class Measured(Schema):
    """A value with its 95 % interval, and the number of images behind it, and nothing else: the
    four fields of `pipeline.evaluation.estimates.Estimate`. There may be no images."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    value: Finite | None
    low: Finite | None
    high: Finite | None
    n: NonNegativeInt


class Found(Measured):
    """A `Measured` of at least one image."""

    value: Finite
    low: Finite
    high: Finite


class Frozen(dict[str, Any]):
    """A dictionary that everyone shares and nobody alters; its lists are tuples.

    A copy of it (`copy.deepcopy`) is an ordinary dictionary.
    """

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("a record is shared: alter a copy.deepcopy of it")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)


def freeze(value: Any) -> Any:
    """What JSON says, with `Frozen` for every dictionary and tuples for lists."""
    if isinstance(value, dict):
        return Frozen({key: freeze(item) for key, item in value.items()})
    return tuple(map(freeze, value)) if isinstance(value, list) else value


def read_record(path: Path, schema: Any) -> Frozen:
    """A file of JSON, read and checked anew only once it has changed.

    ``schema``: a type that pydantic can check. Raises OSError where there is no such file, and
    ValueError where it is no JSON or not what ``schema`` asks for.
    """
    state = path.stat()
    return _checked(path, schema, state.st_mtime_ns, state.st_size, state.st_ino)


@lru_cache(maxsize=64)
def _checked(path: Path, schema: Any, *_state: int) -> Frozen:
    text = path.read_bytes()
    TypeAdapter(schema).validate_json(text)
    return Frozen(freeze(json.loads(text)))
