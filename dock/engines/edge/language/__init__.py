"""Cloudflare's Rules language: what an expression says, checked when it is written, and fast when it is asked."""

from dock.engines.edge.language.addresses import AddressList
from dock.engines.edge.language.facts import Facts
from dock.engines.edge.language.parser import Expression, parse
from dock.engines.edge.language.tokens import ExpressionError

__all__ = ["AddressList", "Expression", "ExpressionError", "Facts", "parse"]
