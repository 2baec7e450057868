"""``onnxray serve``: models over HTTP, until a signal ends it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Exit, Option

from ..attribution.memory import parse_memory
from ..data.files import read_given
from ..data.labels import read_labels
from ..errors import InputError
from ..loading.load import load
from ..optional import SERVING, need_all
from ..serving import Limits, ServedModel, served_model
from .ending import Interrupted, leaving_signals
from .flatten_options import flatten_options
from .gate_options import LayerName, MethodOptions, ScoreName, parse_options
from .options import Runtime
from .terminal import say, say_error

__all__ = ["named_file", "serve", "setting_of"]

NAME = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)


@dataclass(frozen=True)
class Bounds:
    """What the service takes at most."""

    batch: Annotated[
        int,
        Option(
            "--batch-size",
            "--batch",
            help="Rows of several requests that are run together at most; 1 for no batching.",
            min=1,
        ),
    ] = 32
    delay: Annotated[
        float, Option(metavar="MS", help="Milliseconds that a request waits for others to share its run.", min=0)
    ] = 2.0
    queue: Annotated[
        int, Option(help="Requests to a model at one time; more are answered by 429, with Retry-After.", min=1)
    ] = 128
    timeout: Annotated[
        float, Option(metavar="SECONDS", help="Time of a request; then it is answered by 504.", min=0.001)
    ] = 30.0
    body: Annotated[str, Option(metavar="SIZE", help="Bytes of a request; more are answered by 413.")] = "16MB"
    patience: Annotated[
        float,
        Option(metavar="SECONDS", help="Time in which a client has to send its headers, and its body.", min=0.001),
    ] = 10.0

    def limits(self, memory: int) -> Limits:
        """The same as limits of a model; the bodies of its requests share a quarter of its memory."""
        body = parse_memory(self.body, "body")
        bodies = max(memory // 4, body)
        return Limits(self.batch, self.delay / 1000, self.queue, self.timeout, body, bodies, self.patience)


@dataclass(frozen=True)
class Each:
    """Settings of each model: of one, as in cats=labels.txt, or of all."""

    labels: Annotated[
        list[str] | None, Option(metavar="[NAME=]FILE", help="Class names; by default those in the model's metadata.")
    ] = None
    preprocess: Annotated[
        list[str] | None,
        Option(
            metavar="[NAME=]PRESET", help="How pictures become input, as for explain; by default as the model says."
        ),
    ] = None
    tokenizer: Annotated[
        list[str] | None, Option(metavar="[NAME=]FILE", help="The tokenizer.json of a model of texts.")
    ] = None
    sample: Annotated[
        list[str] | None,
        Option(metavar="[NAME=]FILE", help="Input of the first run, as for explain; by default zeros."),
    ] = None


@flatten_options
def serve(
    models: Annotated[
        list[str],
        Argument(
            metavar="[NAME=]MODEL...", help=".onnx files; a name is by default that of the file.", show_default=False
        ),
    ],
    method: Annotated[
        list[str] | None,
        Option(
            "--method",
            "-m",
            metavar="NAME",
            help="Method that requests may name, the first by default; repeat it. "
            "By default saliency, input-x-gradient, integrated-gradients and grad-cam, where they can be.",
        ),
    ] = None,
    host: Annotated[str, Option(help="Address to listen on; 0.0.0.0 for all, as in a container.")] = "127.0.0.1",
    port: Annotated[int, Option(help="Port to listen on; 0 for a free one.", min=0, max=65535)] = 8080,
    each: Each = Each(),
    bounds: Bounds = Bounds(),
    score: ScoreName = "logit",
    layer: LayerName = None,
    option: MethodOptions = None,
    runtime: Runtime = Runtime(),  # noqa: B008  a frozen value
) -> None:
    """Serve predictions and explanations over HTTP, by KServe's protocols v1 and v2.

    A page to try it is at /, the operations are at /docs, numbers for Prometheus
    at /metrics; the log is JSON on stderr. It is ready (/v2/health/ready) when
    every model has run once. It has no users and no TLS: a gateway before it
    has. At SIGTERM or Ctrl-C it takes no more requests, answers those that it
    has, and ends with exit code 143 or 130.

    \b
    Example:
      onnxray serve model.onnx --method grad-cam --method integrated-gradients \\
          --preprocess imagenet
      onnxray serve cats=cats.onnx dogs=dogs.onnx --labels cats=cats.txt \\
          --host 0.0.0.0 --port 8080
    """
    need_all(*SERVING)
    from ..serving.server import listen, run_server
    from ..serving.service import Service

    files = dict(map(named_file, models))
    if len(files) < len(models):
        raise InputError("two models have one name; give each a name of its own, as in cats=cats.onnx")
    memory = parse_memory(runtime.memory) // len(files)  # that of each model
    limits = bounds.limits(memory)
    settings: dict[str, Any] = {
        "score": score, "layer": layer, "providers": runtime.provider, "threads": runtime.threads,
        "memory": memory, "options": parse_options(option or ()),
    }  # fmt: skip
    opened = [_opened(name, file, tuple(files), method or (), each, settings) for name, file in files.items()]
    service = Service.of(opened, limits, {one.name: _sample(one, tuple(files), each) for one in opened})
    at = listen(host, port)
    say(f"serving {', '.join(files)} at http://{host if ':' not in host else f'[{host}]'}:{at.getsockname()[1]}")
    try:
        with leaving_signals():
            run_server(service, at)
    except Interrupted as end:
        say_error("what was accepted is answered", end.kind)
        raise Exit(end.code) from None


def named_file(text: str) -> tuple[str, Path]:
    """A model's name and file."""
    name, equals, file = text.partition("=")
    named = bool(equals) and NAME.fullmatch(name) is not None and not Path(text).exists()
    path = Path(file if named else text)
    found = name if named else re.sub(r"[^\w.-]+", "-", path.stem, flags=re.ASCII).strip("-.")
    if not NAME.fullmatch(found):
        raise InputError(f"{text}: give the model a name of letters, digits, dots and hyphens, as in cats={path.name}")
    return found, path


def setting_of(name: str, names: Sequence[str], texts: Sequence[str] | None) -> str | None:
    """The setting of a model: the last that names it, else the last that names none."""
    own, others = None, None
    for text in texts or ():
        prefix, equals, value = text.partition("=")
        if equals and prefix in names:
            own = value if prefix == name else own
        else:
            others = text
    return others if own is None else own


def _opened(
    name: str, file: Path, names: Sequence[str], methods: Sequence[str], each: Each, settings: dict[str, Any]
) -> ServedModel:
    labels, preprocess = setting_of(name, names, each.labels), setting_of(name, names, each.preprocess)
    return served_model(
        load(file), name, methods, labels=read_labels(Path(labels)) if labels else None, preprocess=preprocess,
        tokenizer=setting_of(name, names, each.tokenizer), **settings,
    )  # fmt: skip


def _sample(model: ServedModel, names: Sequence[str], each: Each) -> Any:
    """The inputs of the first run, where a file has them."""
    file = setting_of(model.name, names, each.sample)
    return None if file is None else read_given(model.model, Path(file)).inputs
