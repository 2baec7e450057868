"""The clients of ``serving.py``, for locust: each sends the next request when it has the answer to the last one."""

from __future__ import annotations

import json
import os
import random

from locust import FastHttpUser, constant, task

METHOD = os.environ.get("METHOD", "saliency")
DRAW = random.Random(0)
BODIES = [
    json.dumps({
        "instances": [[[[round(DRAW.random(), 3) for _ in range(28)] for _ in range(28)]]],
        "parameters": {"method": METHOD, "target": DRAW.randrange(10)},
    })
    for _ in range(64)
]  # fmt: skip


class Client(FastHttpUser):
    """Asks for one map after the other."""

    wait_time = constant(0)
    default_headers = {"content-type": "application/json"}  # noqa: RUF012  locust's own

    @task
    def explain(self) -> None:
        self.client.post("/v1/models/digits:explain", data=random.choice(BODIES), headers=self.default_headers)
