"""The tools of the example agents. They give the same result every time: only the model is left to chance."""

from __future__ import annotations

import ast
import operator
from typing import Any

QUESTION = "What is the average temperature of Paris and Tokyo today?"
SIGHTS = ("Name one thing to see in Paris.", "Name one thing to see in Tokyo.")

_CELSIUS = {"Paris": 18, "Tokyo": 23, "London": 15, "Oslo": 9}
_OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}

DESCRIPTIONS: dict[str, tuple[str, str]] = {
    "get_weather": ("Temperature in a city today, in degrees Celsius.", "city"),
    "calculate": ("Value of an arithmetic expression of + - * / and brackets.", "expression"),
}


def _schema(argument: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {argument: {"type": "string"}},
        "required": [argument],
        "additionalProperties": False,
    }


TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {"name": name, "description": text, "parameters": _schema(argument), "strict": True},
    }
    for name, (text, argument) in DESCRIPTIONS.items()
]
ANTHROPIC_TOOLS: list[Any] = [
    {"name": name, "description": text, "input_schema": _schema(argument)}
    for name, (text, argument) in DESCRIPTIONS.items()
]


def get_weather(city: str) -> str:
    return f"{_CELSIUS.get(city, 20)} °C"


def calculate(expression: str) -> str:
    """Evaluate ``expression``; what is no arithmetic gives a sentence that says so, for the model to read."""
    try:
        return f"{_value(ast.parse(expression, mode='eval').body):g}"
    except (SyntaxError, ValueError, ZeroDivisionError) as error:
        return f"cannot calculate {expression!r}: {error}"


def _value(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.BinOp(left, op, right) if type(op) in _OPERATORS:
            return float(_OPERATORS[type(op)](_value(left), _value(right)))
        case ast.UnaryOp(ast.USub(), operand):
            return -_value(operand)
    raise ValueError("not arithmetic")
