"""What a declared type says of itself: whether it is a model, a collection, nothing in particular; its names.

Knows Pydantic, not FastAPI.
"""

from __future__ import annotations

from typing import Any, get_args, get_origin

from pydantic import AliasChoices, BaseModel, PlainSerializer, WrapSerializer

COLLECTIONS = (list, tuple, set, frozenset, dict)


def is_model(annotation: Any) -> bool:
    """Say whether the annotation is one Pydantic model."""
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def is_root(model: type[BaseModel]) -> bool:
    """Say whether the model is a RootModel, whose content is not in its ``__dict__`` by field."""
    return bool(getattr(model, "__pydantic_root_model__", False))


def is_bare(annotation: Any) -> bool:
    """Say whether a type says nothing about the body's content."""
    return annotation in (dict, list, object, Any) or (get_origin(annotation) is dict and Any in get_args(annotation))


def is_collection(annotation: Any) -> bool:
    """Say whether a type is a class of collections: a bare ``list``, a NamedTuple."""
    return isinstance(annotation, type) and issubclass(annotation, COLLECTIONS)


def is_hidden_body(annotation: Any) -> bool:
    """Say whether FastAPI could not see that a type is a body's: there is none, or only its name is seen."""
    value = getattr(annotation, "__value__", annotation)  # of ``type Items = list[Item]``
    return value in (object, Any) or (value is not annotation and (is_model(value) or get_origin(value) in COLLECTIONS))


def aliases(info: Any) -> list[str]:
    """Return the names that were declared for a parameter, beside its own; the one to be sent comes first."""
    wanted = info.validation_alias
    accepted = wanted.choices if isinstance(wanted, AliasChoices) else [wanted]
    return [alias for alias in (info.serialization_alias, *accepted, info.alias) if isinstance(alias, str) and alias]


def serialised_name(name: str, info: Any) -> str:
    """Return the key that Pydantic gives a model's field when it is serialised."""
    return str(info.serialization_alias or info.alias or name)


def has_serialiser(model: type[BaseModel], name: str, info: Any) -> bool:
    """Say whether a model's field is serialised by a function, which may make something of None."""
    decorated = (serialiser.info.fields for serialiser in model.__pydantic_decorators__.field_serializers.values())
    functions = PlainSerializer | WrapSerializer
    return any(name in fields or "*" in fields for fields in decorated) or any(
        isinstance(part, functions) for part in info.metadata
    )
