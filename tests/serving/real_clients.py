"""Asks a service by KServe's and Triton's own clients, where they are installed: ``real_clients.py URL PICTURE``.

What it finds goes to stdout as JSON; whoever started it compares that with the library.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

SHAPE = (3, 1, 28, 28)
X = np.random.default_rng(7).random(SHAPE, np.float32)


async def by_kserve(url: str, picture: str) -> dict[str, Any]:
    """Protocols v1 and v2 by InferenceRESTClient."""
    from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig  # pyright: ignore[reportMissingImports]

    found: dict[str, Any] = {}
    async with InferenceRESTClient(RESTConfig(protocol="v1")) as one:
        found["live"] = await one.is_server_live(url)
        found["ready"] = await one.is_model_ready(url, "digits")
        file = {"b64": base64.b64encode(Path(picture).read_bytes()).decode()}
        found["predicted"] = await one.infer(url, {"instances": X.tolist()}, model_name="digits")
        asked = {"instances": [file], "parameters": {"method": "grad-cam", "target": "6"}}
        found["explained"] = await one.explain(url, "digits", asked)
        try:
            await one.explain(url, "digits", {"instances": [1]})
        except Exception as error:  # noqa: BLE001  whatever the client makes of a 400
            found["refused"] = str(error)
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as two:
        found["both"] = [
            await two.is_server_ready(url),
            await two.is_server_live(url),
            await two.is_model_ready(url, "digits"),
        ]
        for name, binary in (("json", False), ("binary", True)):
            given = InferInput("image", list(SHAPE), "FP32")
            given.set_data_from_numpy(X, binary_data=binary)
            asked = {"method": "saliency", "target": 3, "binary_data_output": binary}
            answer = await two.infer(url, InferRequest("digits", [given], parameters=asked), model_name="digits")
            found[name] = {one.name: one.as_numpy().tolist() for one in answer.outputs}
    return found


def by_triton(address: str) -> dict[str, Any]:
    """Protocol v2 with binary tensors by tritonclient."""
    from tritonclient import http  # pyright: ignore[reportMissingImports]

    client = http.InferenceServerClient(address)
    given = http.InferInput("image", list(SHAPE), "FP32")
    given.set_data_from_numpy(X)
    wanted = [http.InferRequestedOutput("attribution"), http.InferRequestedOutput("score", binary_data=False)]
    maps = client.infer("digits", [given], outputs=wanted, parameters={"method": "saliency", "target": "3"})
    plain = client.infer("digits", [given])
    return {
        "state": [client.is_server_live(), client.is_server_ready(), client.is_model_ready("digits")],
        "metadata": client.get_model_metadata("digits"),
        "server": client.get_server_metadata(),
        "attribution": maps.as_numpy("attribution").tolist(),
        "score": maps.as_numpy("score").tolist(),
        "logits": plain.as_numpy("logits").tolist(),
    }


def main() -> None:
    """Asks by both."""
    url, picture = sys.argv[1:3]
    print(
        json.dumps({"kserve": asyncio.run(by_kserve(url, picture)), "triton": by_triton(url.removeprefix("http://"))})
    )


if __name__ == "__main__":
    main()
