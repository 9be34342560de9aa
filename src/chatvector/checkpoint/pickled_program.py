# SPDX-License-Identifier: Apache-2.0
"""Read what a pickle says about tensors as data: nothing in it is imported, called or built.

A pickle is a program for a stack machine. Python's own machine imports whatever the program names and calls it, which
is how a hostile model file runs code. This module decodes the instructions (`pickletools.genops`, which only decodes)
and follows the few that `torch.save` writes for a state dict; names become placeholder objects,
a "call" of a known name becomes a description. Any other name, and any other instruction, ends the reading.

Source of the format: the instruction table of `pickletools`; torch's serialization notes (`torch.save`, "storages are
written apart, named by persistent ids"); the argument order of `torch._utils._rebuild_tensor_v2`.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from chatvector.errors import DamagedFile, UnsupportedFormat

# Storage class of torch → dtype code of safetensors.
STORAGES = {
    "DoubleStorage": "F64",
    "FloatStorage": "F32",
    "HalfStorage": "F16",
    "BFloat16Storage": "BF16",
    "LongStorage": "I64",
    "IntStorage": "I32",
    "ShortStorage": "I16",
    "CharStorage": "I8",
    "ByteStorage": "U8",
    "BoolStorage": "BOOL",
}
ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}

MAX_DIMENSIONS = 64  # torch's own limit
# Arguments of _rebuild_tensor_v2: storage, start, shape, stride, requires_grad, hooks and, since torch 1.12, metadata.
MAX_TENSOR_ARGUMENTS = 7

_ORDERED_DICT = ("collections", "OrderedDict")
_TENSOR = ("torch._utils", "_rebuild_tensor_v2")
_OLD_TENSOR = ("torch._utils", "_rebuild_tensor")
_PARAMETER = ("torch._utils", "_rebuild_parameter")
_SIZE = ("torch", "Size")
KNOWN = {_ORDERED_DICT, _TENSOR, _OLD_TENSOR, _PARAMETER, _SIZE} | {
    (module, name) for module in ("torch", "torch.storage") for name in STORAGES
}


@dataclass(frozen=True)
class Storage:
    """A run of elements stored outside of the pickle: its `key`, dtype code, number of elements."""

    key: str
    dtype: str
    elements: int


@dataclass(frozen=True)
class Tensor:
    """A view of a storage: first element, extents and steps, all in elements.

    `bits`: operations that torch applies to the elements when it reads them, `neg` or `conj`; nearly always none.
    """

    storage: Storage
    start: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    bits: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Name:
    module: str
    name: str


class _Mark:
    pass


def read_program(stream: io.BytesIO | bytes, where: str) -> Any:
    """The value that one pickle describes: dicts, lists, tuples, numbers, strings, None, `Tensor`.

    Afterwards `stream` is at the end of the pickle. Raises UnsupportedFormat for content that no state dict has,
    DamagedFile where there is no pickle.
    """
    machine = _Machine(where)
    try:
        for opcode, argument, _ in pickletools.genops(stream):
            step = _STEPS.get(opcode.name)
            if step is None:
                raise UnsupportedFormat(
                    f"{where}: the pickle uses the instruction {opcode.name}, which no state dict needs; {_REFUSED}"
                )
            step(machine, argument)
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, RecursionError) as error:
        if isinstance(error, UnsupportedFormat | DamagedFile):
            raise
        raise DamagedFile(f"{where}: no readable pickle ({str(error)[:80]}); download it again") from error
    if len(machine.stack) != 1:
        raise DamagedFile(f"{where}: the pickle ends with {len(machine.stack)} values instead of one")
    return machine.stack[0]


_REFUSED = "refused, and nothing of it was run; take the model's safetensors version, or convert it where you trust it"


class _Machine:
    """The stack and the memo while one pickle is read."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        value = self.stack.pop()
        if isinstance(value, _Mark):
            raise ValueError("a mark where a value belongs")
        return value

    def since_mark(self) -> list[Any]:
        for place in range(len(self.stack) - 1, -1, -1):
            if isinstance(self.stack[place], _Mark):
                items = self.stack[place + 1 :]
                del self.stack[place:]
                return items
        raise ValueError("no mark on the stack")

    def top(self, kind: type) -> Any:
        if not isinstance(self.stack[-1], kind):
            raise TypeError(f"a {kind.__name__} is needed")
        return self.stack[-1]

    def name(self, module: object, name: object) -> None:
        if (module, name) not in KNOWN:
            raise UnsupportedFormat(f"{self.where}: the pickle names {str(module)[:60]}.{str(name)[:60]}; {_REFUSED}")
        self.push(_Name(str(module), str(name)))

    def keep(self, place: int) -> None:
        self.memo[place] = self.stack[-1]

    def call(self) -> None:
        arguments, called = self.pop(), self.pop()
        if not isinstance(called, _Name) or not isinstance(arguments, tuple):
            raise TypeError("a call of what is no name")
        self.push(_called((called.module, called.name), arguments))

    def build(self) -> None:
        """Drop the attributes set on a dict: those of a state dict are version numbers.

        Attributes on a tensor are refused: they would replace its storage, and torch writes none.
        """
        self.pop()
        if not isinstance(self.stack[-1], dict):
            raise TypeError("attributes of what has none")

    def items(self, pairs: list[Any]) -> None:
        if len(pairs) % 2:
            raise ValueError("a key without a value")
        self.top(dict).update(_keyed(zip(pairs[::2], pairs[1::2], strict=True)))

    def persistent(self) -> None:
        """Push the storage for torch's persistent id: ('storage', class, key, device, elements[, view])."""
        label, kind, key, _device, elements, *view = self.pop()
        if label != "storage" or not isinstance(kind, _Name) or kind.name not in STORAGES:
            raise TypeError("a persistent id that is no storage")
        if any(part is not None for part in view):
            raise UnsupportedFormat(f"{self.where}: a storage is a view of another; save the state dict again")
        if not isinstance(key, str) or not _is_count(elements):
            raise TypeError("a storage without key or size")
        self.push(Storage(key, STORAGES[kind.name], elements))


def _called(name: tuple[str, str], arguments: tuple[Any, ...]) -> Any:
    if name == _ORDERED_DICT:
        return _keyed(arguments[0] if arguments else [])
    if name == _SIZE:
        return tuple(arguments[0])
    if name == _PARAMETER:
        if not isinstance(arguments[0], Tensor):
            raise TypeError("a parameter of what is no tensor")
        return arguments[0]
    if name in (_TENSOR, _OLD_TENSOR):
        storage, start, shape, stride = arguments[:4]
        if len(arguments) > MAX_TENSOR_ARGUMENTS:
            raise ValueError(f"a tensor of {len(arguments)} arguments")
        if len(shape) > MAX_DIMENSIONS:
            raise ValueError(f"a tensor of {len(shape)} dimensions")
        counts = (start, *shape, *stride)
        if not isinstance(storage, Storage) or len(shape) != len(stride) or not all(map(_is_count, counts)):
            raise TypeError("a tensor that is none")
        return Tensor(storage, start, tuple(shape), tuple(stride), _bits(arguments[6:]))
    raise TypeError(f"{name[1]} is no function")


def _bits(metadata: tuple[Any, ...]) -> tuple[str, ...]:
    """Names of the operations in torch's metadata of a tensor; () without any (`torch._utils.get_tensor_metadata`)."""
    found = metadata[0] if metadata else None
    if found is None:
        return ()
    if not isinstance(found, dict):
        raise TypeError("metadata that is none")
    return tuple(str(name) for name, is_set in found.items() if is_set is not False)


def _keyed(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for key, value in pairs:
        # Nested keys could be built so that hashing them never ends.
        if not isinstance(key, str | int | None):
            raise TypeError("a key that is no name")
        found[key] = value
    return found


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63


Step = Callable[[_Machine, Any], None]


def _push_argument(machine: _Machine, argument: Any) -> None:
    machine.push(argument)


def _global(machine: _Machine, argument: str) -> None:
    module, _, name = argument.partition(" ")
    machine.name(module, name)


def _stack_global(machine: _Machine, _argument: Any) -> None:
    name, module = machine.pop(), machine.pop()
    machine.name(module, name)


def _tuple_of(count: int) -> Step:
    def step(machine: _Machine, _argument: Any) -> None:
        items = [machine.pop() for _ in range(count)]
        machine.push(tuple(reversed(items)))

    return step


_STEPS: Mapping[str, Step] = {
    "PROTO": lambda *_: None,
    "FRAME": lambda *_: None,
    "STOP": lambda *_: None,
    "MARK": lambda m, _: m.push(_Mark()),
    "NONE": lambda m, _: m.push(None),
    "NEWTRUE": lambda m, _: m.push(True),
    "NEWFALSE": lambda m, _: m.push(False),
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"), _push_argument),
    **dict.fromkeys(("BINUNICODE", "SHORT_BINUNICODE", "SHORT_BINSTRING", "BINSTRING"), _push_argument),
    "EMPTY_DICT": lambda m, _: m.push({}),
    "EMPTY_LIST": lambda m, _: m.push([]),
    "EMPTY_TUPLE": lambda m, _: m.push(()),
    "TUPLE": lambda m, _: m.push(tuple(m.since_mark())),
    "TUPLE1": _tuple_of(1),
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
    "APPEND": lambda m, _: (value := m.pop(), m.top(list).append(value))[1],
    "APPENDS": lambda m, _: (values := m.since_mark(), m.top(list).extend(values))[1],
    "SETITEM": lambda m, _: (value := m.pop(), key := m.pop(), m.items([key, value]))[2],
    "SETITEMS": lambda m, _: m.items(m.since_mark()),
    "BINPUT": lambda m, place: m.keep(place),
    "LONG_BINPUT": lambda m, place: m.keep(place),
    "MEMOIZE": lambda m, _: m.keep(len(m.memo)),
    "BINGET": lambda m, place: m.push(m.memo[place]),
    "LONG_BINGET": lambda m, place: m.push(m.memo[place]),
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "REDUCE": lambda m, _: m.call(),
    "BUILD": lambda m, _: m.build(),
    "BINPERSID": lambda m, _: m.persistent(),
}
