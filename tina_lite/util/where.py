"""`where: level >= 3 and source != "synthetic"`: which rows of data are taken. Read as Python, never run as Python.

Columns by name (a dot leads into an object), literals, lists, the comparisons, `in`, `and`, `or`, `not`; nothing else.

>>> chosen = Where("level >= 3 and not source in ['mine', 'yours']")
>>> rows = [(3, "ours"), ("4", "ours"), (3, "mine"), (2, "ours"), (None, "")]
>>> [chosen({"level": level, "source": source}) for level, source in rows]
[True, True, False, False, False]
>>> chosen.columns
('level', 'source')
"""

import ast
import operator
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from tina_lite.util.errors import BadInput

Row = Mapping[str, Any]
Value = Callable[[Row], Any]

ORDERS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
ALLOWED = "columns, numbers, texts, lists, < <= > >= == !=, in, and, or, not"
LONGEST = 1000
"""Characters."""


class Where:
    """A condition on rows; call it with one. BadInput where it cannot be read, or compares what has no order."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._columns: dict[str, None] = {}
        if len(text) > LONGEST:
            raise BadInput(f"data.where: {len(text)} characters are too many, {LONGEST} are allowed")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a text with LaTeX in it has no escapes in mind
                tree = ast.parse(text.strip(), mode="eval")
            self._value = self._read(tree.body)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise BadInput(f"data.where: cannot read {text!r}; write it as level >= 3 and source == 'x'") from None

    def __call__(self, row: Row) -> bool:
        return bool(self._value(row))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it asks for."""
        return tuple(self._columns)

    def _read(self, node: ast.expr) -> Value:
        match node:
            case ast.BoolOp(op, operands):
                parts = [self._read(operand) for operand in operands]
                meet = all if isinstance(op, ast.And) else any
                return lambda row: meet(part(row) for part in parts)
            case ast.UnaryOp(ast.Not(), operand):
                inner = self._read(operand)
                return lambda row: not inner(row)
            case ast.UnaryOp(ast.USub(), ast.Constant(int() | float() as number)):
                return lambda row: -number
            case ast.Compare(left, ops, others):
                sides = [self._read(side) for side in (left, *others)]
                links = [self._compare(op, a, b) for op, a, b in zip(ops, sides, sides[1:])]
                return lambda row: all(link(row) for link in links)
            case ast.Constant(bool() | int() | float() | str() | None as constant):
                return lambda row: constant
            case ast.List(items) | ast.Tuple(items):
                elements = [self._read(item) for item in items]
                return lambda row: [element(row) for element in elements]
            case ast.Name() | ast.Attribute():
                name = self._column(node)
                return lambda row: look_up(row, name)
        raise BadInput(f"data.where: {ast.unparse(node)!r} is not allowed there (allowed: {ALLOWED})")

    def _column(self, node: ast.expr) -> str:
        dotted = ast.unparse(node)
        if not all(part.isidentifier() for part in dotted.split(".")):
            raise BadInput(f"data.where: {dotted!r} is not the name of a column")
        self._columns[dotted] = None
        return dotted

    def _compare(self, op: ast.cmpop, left: Value, right: Value) -> Callable[[Row], bool]:
        if isinstance(op, ast.In | ast.NotIn):
            wanted = isinstance(op, ast.In)
            return lambda row: self._within(left(row), right(row)) is wanted
        if isinstance(op, ast.Eq | ast.Is):
            return lambda row: _equal(left(row), right(row))
        if isinstance(op, ast.NotEq | ast.IsNot):
            return lambda row: not _equal(left(row), right(row))
        return lambda row: self._ordered(ORDERS[type(op)], left(row), right(row))

    def _within(self, item: Any, group: Any) -> bool:
        if isinstance(group, str):
            return isinstance(item, str) and item in group
        return isinstance(group, list) and any(_equal(item, other) for other in group)

    def _ordered(self, compare: Callable[[Any, Any], bool], left: Any, right: Any) -> bool:
        if left is None or right is None:
            return False
        left, right = _alike(left, right)
        try:
            return compare(left, right)
        except TypeError:
            raise BadInput(f"data.where: {self.text}: {left!r:.60} and {right!r:.60} have no order") from None


def look_up(row: Row, name: str) -> Any:
    """The value of a column, or of a field inside an object or inside JSON text; None where there is none.

    >>> look_up({"reward_model": {"ground_truth": "4"}}, "reward_model.ground_truth"), look_up({"a": 1}, "b")
    ('4', None)
    >>> look_up({"info": '{"answer": {"value": 5}}'}, "info.answer.value")
    5
    """
    if name in row or "." not in name:
        return row.get(name)
    outer, _, inner = name.partition(".")
    value = row.get(outer)
    if isinstance(value, str) and value.lstrip().startswith("{"):
        value = _from_json(value)
    return look_up(value, inner) if isinstance(value, Mapping) else None


def _from_json(text: str) -> Any:
    import json

    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _alike(left: Any, right: Any) -> tuple[Any, Any]:
    """A number beside a text that spells one: both as numbers, as in a .csv everything is text."""
    if isinstance(left, str) and isinstance(right, int | float):
        return _number(left), right
    if isinstance(right, str) and isinstance(left, int | float):
        return left, _number(right)
    return left, right


def _number(text: str) -> Any:
    if text.strip().lower() in ("true", "false"):
        return text.strip().lower() == "true"
    try:
        return float(text)
    except ValueError:
        return text


def _equal(left: Any, right: Any) -> bool:
    left, right = _alike(left, right)
    return bool(left == right)
