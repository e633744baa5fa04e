"""botocore's models of AWS's services: the one source of operations, parameters and errors."""

from __future__ import annotations

import functools

import botocore.loaders
from botocore.model import ServiceModel


@functools.cache
def service_model(name: str) -> ServiceModel:
    """A service's model, loaded once. Raises botocore's UnknownServiceError."""
    loader = botocore.loaders.Loader()
    return ServiceModel(loader.load_service_model(name, "service-2"), service_name=name)
