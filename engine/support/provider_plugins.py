"""Plugins of onnxruntime: execution providers in packages of their own, which a session takes by their devices."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from threading import Lock
from typing import Any

from ..errors import RuntimeUnavailable
from .execution_providers import CPU, KNOWN, KnownProvider, short_name

__all__ = ["add_providers", "check_device", "has_plugin", "installed_plugins", "register_plugin"]

_REGISTERING = Lock()
ON_DEVICE = "device_type"  # the option that chooses among the devices of a provider, as "GPU"


def installed_plugins() -> list[str]:
    """The providers whose plugins are installed."""
    return [one.full for one in KNOWN if one.plugin and find_spec(one.plugin) is not None]


def register_plugin(ort: Any, full: str) -> None:
    """Makes the plugin of a provider known to onnxruntime, if one is installed.

    Raises RuntimeUnavailable for one that does not load.
    """
    for one in KNOWN:
        if one.full == full and one.plugin and find_spec(one.plugin) is not None:
            with _REGISTERING:
                if full not in ort.get_available_providers():
                    _register(ort, one)


@cache  # once registered a plugin stays so, and without a device its provider is not listed
def _register(ort: Any, one: KnownProvider) -> None:
    if not hasattr(ort, "register_execution_provider_library"):
        raise RuntimeUnavailable(f"{one.package} needs onnxruntime 1.23 or later, and {ort.__version__} is installed")
    try:
        ort.register_execution_provider_library(one.full, str(import_module(one.plugin).get_library_path()))
    except Exception as error:
        raise RuntimeUnavailable(f"{one.package} does not load: {error}") from error


def check_device(ort: Any, full: str) -> None:
    """Raises RuntimeUnavailable where the provider's plugin is installed and registered, and finds no device."""
    if full in installed_plugins() and full not in ort.get_available_providers():
        package = next(one.package for one in KNOWN if one.full == full)
        raise RuntimeUnavailable(f"{package} is installed, and finds no device on this machine that it runs on")


def has_plugin(ort: Any, providers: Sequence[str | tuple[str, dict[str, Any]]]) -> bool:
    """Whether a provider comes from a plugin, so that a session takes none of them by name."""
    names = {one if isinstance(one, str) else one[0] for one in providers}
    return any(_is_plugged(ort, one.full) for one in KNOWN if one.plugin and one.full in names)


def add_providers(
    ort: Any, options: Any, providers: Sequence[str | tuple[str, dict[str, Any]]], threads: int | None
) -> None:
    """Adds providers to the options of a session, in order; the CPU comes last by itself, elsewhere as a device."""
    for place, one in enumerate(providers, 1):
        full, given = (one, {}) if isinstance(one, str) else one
        texts = {name: str(value) for name, value in given.items() if name != ON_DEVICE}
        if _is_plugged(ort, full) or (full == CPU and place < len(providers)):
            devices = [device for device in ort.get_ep_devices() if device.ep_name == full]
            device = _chosen(devices, full, given.get(ON_DEVICE))
            options.add_provider_for_devices([device], {**_exact(device, threads), **texts})
        elif full != CPU:
            options.add_provider(full, {name: str(value) for name, value in given.items()})


def _is_plugged(ort: Any, full: str) -> bool:
    """Whether onnxruntime has the provider from a plugin; a build that has it of its own names no library."""
    devices = ort.get_ep_devices() if hasattr(ort, "get_ep_devices") else []
    return any(device.ep_name == full and "library_path" in device.ep_metadata for device in devices)


def _chosen(devices: Sequence[Any], full: str, wanted: str | None) -> Any:
    """The device that is asked for, by default the first."""
    names = [device.ep_metadata.get("ov_device") or device.device.type.name for device in devices]
    for device, name in zip(devices, names, strict=True):
        if wanted is None or name.lower() == wanted.lower():
            return device
    raise RuntimeUnavailable(f"{full} has no device {wanted!r} here; it has {', '.join(names)}")


def _exact(device: Any, threads: int | None) -> Mapping[str, str]:
    """Options without which OpenVINO rounds to bfloat16 where the processor can: maps would be off by a tenth."""
    where = device.ep_metadata.get("ov_device")
    if short_name(device.ep_name) != "openvino" or where not in ("CPU", "GPU"):
        return {}
    wanted = {"INFERENCE_PRECISION_HINT": "f32"}
    if threads and where == "CPU":
        wanted["INFERENCE_NUM_THREADS"] = str(threads)
    return {"load_config": json.dumps({where: wanted})}
