"""Changes a model at random: fields of its messages, or bytes of its file; the same number makes the same mutant."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import onnx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

__all__ = ["mutant", "mutated_bytes"]

Field = FieldDescriptor
INTEGERS = (0, 1, -1, 2, 3, 7, 13, 16, 18, 99, 255, 2**16, 2**31 - 1, -(2**31), 2**40, 2**62, -(2**63), 2**63 - 1)
FLOATS = (0.0, -0.0, 1.0, -1.0, 1e-30, 1e30, float("inf"), float("-inf"), float("nan"))
STRINGS = (
    "",
    "x",
    "Relu",
    "Loop",
    "If",
    "\0",
    "../../etc/passwd",
    "a" * 300,
    "{}",
    "[[[[",
    '{"a": 1}',
    "ai.onnx.ml",
    "é",
)
BYTES = (b"", b"\0", b"\xff\xfe", b"\xff" * 64, bytes(8))
WHOLE = {Field.TYPE_INT64: 64, Field.TYPE_INT32: 32, Field.TYPE_UINT64: 64}


def mutant(models: Sequence[onnx.ModelProto], number: int) -> bytes:
    """The mutant of a number, as a file: one of the models with one to four changes."""
    draw = random.Random(number)
    proto = onnx.ModelProto()
    proto.CopyFrom(draw.choice(models))
    if draw.random() < 0.2:
        return mutated_bytes(proto.SerializeToString(), draw)
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        _change(proto, draw)
    return proto.SerializeToString()


def mutated_bytes(content: bytes, draw: random.Random) -> bytes:
    """Bytes of a file changed, taken out, put in, or the rest cut off."""
    changed = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 5))):
        at = draw.randrange(len(changed)) if changed else 0
        kind = draw.randrange(5)
        if kind == 0 and changed:
            changed[at] ^= 1 << draw.randrange(8)
        elif kind == 1 and changed:
            changed[at] = draw.randrange(256)
        elif kind == 2:
            del changed[at : at + draw.choice((1, 2, 8, 64))]
        elif kind == 3:
            changed[at:at] = draw.randbytes(draw.choice((1, 2, 8)))
        elif draw.random() < 0.3:
            del changed[at:]
    return bytes(changed)


def _messages(message: Message) -> Iterator[Message]:
    """The message and all inside of it."""
    yield message
    for field, value in message.ListFields():
        if field.type == Field.TYPE_MESSAGE:
            for inner in value if field.is_repeated else [value]:
                yield from _messages(inner)


def _change(proto: onnx.ModelProto, draw: random.Random) -> None:
    """One field of one message: mostly one that is set, at times one that is not."""
    inside = list(_messages(proto))
    kinds = sorted({type(one).__name__ for one in inside})
    kind = draw.choice(kinds)  # so that a weight with many fields is as likely as a header with few
    message: Any = draw.choice([one for one in inside if type(one).__name__ == kind])
    there = [field for field, _ in message.ListFields()]
    field = draw.choice(there if there and draw.random() < 0.85 else list(message.DESCRIPTOR.fields))
    (_change_several if field.is_repeated else _change_one)(message, field, inside, draw)


def _change_one(message: Any, field: Field, inside: list[Message], draw: random.Random) -> None:
    if draw.random() < 0.2:
        message.ClearField(field.name)
    elif field.type == Field.TYPE_MESSAGE:
        others = [one for one in inside if one.DESCRIPTOR is field.message_type and one is not message]
        held = getattr(message, field.name)
        if others and not _is_above(held, message):
            copy = type(held)()
            copy.CopyFrom(draw.choice(others))
            held.CopyFrom(copy)
        else:
            held.SetInParent()
    else:
        _set(lambda value: setattr(message, field.name, value), field, inside, draw, getattr(message, field.name))


def _is_above(held: Message, message: Message) -> bool:
    return held.ByteSize() > 100_000 or message.ByteSize() > 100_000


def _change_several(message: Any, field: Field, inside: list[Message], draw: random.Random) -> None:
    held = getattr(message, field.name)
    kind = draw.randrange(4)
    if held and kind == 0:
        del held[draw.randrange(len(held))]
    elif held and kind == 1 and len(held) > 1:
        _swap(held, field, draw)
    elif field.type == Field.TYPE_MESSAGE:
        others = [one for one in inside if one.DESCRIPTOR is field.message_type]
        copy = type(draw.choice(others))() if others else None
        if copy is not None:
            copy.CopyFrom(draw.choice(others))
            held.append(copy)
        else:
            held.add()
    elif held and kind == 2:
        at = draw.randrange(len(held))
        _set(lambda value: held.__setitem__(at, value), field, inside, draw, held[at])
    else:
        _set(held.append, field, inside, draw, None)


def _swap(held: Any, field: Field, draw: random.Random) -> None:
    one, other = draw.sample(range(len(held)), 2)
    if field.type == Field.TYPE_MESSAGE:
        first, second = type(held[one])(), type(held[one])()
        first.CopyFrom(held[one])
        second.CopyFrom(held[other])
        held[one].CopyFrom(second)
        held[other].CopyFrom(first)
    else:
        held[one], held[other] = held[other], held[one]


def _set(put: Callable[[Any], None], field: Field, inside: list[Message], draw: random.Random, old: Any) -> None:
    """A value of the field's type; strings are mostly some that stand elsewhere in the model."""
    if field.type in WHOLE:
        bits = WHOLE[field.type]
        fits = [n for n in INTEGERS if -(2 ** (bits - 1)) <= n < 2 ** (bits - 1)]
        near = [] if old is None or abs(old) > 2**30 else [old + 1, old - 1, -old]
        fits = [n for n in [*fits, *near * 3] if n >= 0 or field.type != Field.TYPE_UINT64]
        put(draw.choice(fits))
    elif field.type == Field.TYPE_ENUM:
        put(draw.choice([value.number for value in field.enum_type.values]))
    elif field.type in (Field.TYPE_FLOAT, Field.TYPE_DOUBLE):
        put(draw.choice(FLOATS))
    elif field.type == Field.TYPE_STRING:
        put(draw.choice(STRINGS) if draw.random() < 0.4 else draw.choice(list(_strings(inside)) or [""]))
    elif field.type == Field.TYPE_BYTES:
        put(mutated_bytes(old, draw) if old and draw.random() < 0.6 else draw.choice(BYTES))


def _strings(inside: list[Message]) -> Iterator[str]:
    for message in inside:
        for field, value in message.ListFields():
            if field.type == Field.TYPE_STRING:
                yield from value if field.is_repeated else [value]
