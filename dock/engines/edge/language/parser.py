"""From an expression's text to a function of a request. Types are checked here, so that nothing fails when asked."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from dock.engines.edge.language import functions
from dock.engines.edge.language.addresses import AddressList
from dock.engines.edge.language.facts import (
    ADDRESS,
    BOOLEAN,
    FIELDS,
    MAP,
    NUMBER,
    OF_THE_RESPONSE,
    STRING,
    STRINGS,
    UNKNOWABLE,
    Facts,
)
from dock.engines.edge.language.tokens import ExpressionError, Token, tokens

# As the vendor's documentation gives it.
MAX_LENGTH = 4096
MAX_DEPTH = 64
Ask = Callable[[Facts], Any]
_ORDERED = {"lt", "le", "gt", "ge"}


@dataclass(frozen=True, slots=True)
class Node:
    """A part with its type; `each` marks a list whose items are compared one by one (`[*]`)."""

    kind: str
    ask: Ask
    position: int
    each: bool = False


@dataclass(frozen=True, slots=True)
class Expression:
    """`lists` are the names of the lists that it looks into."""

    text: str
    ask: Ask
    kind: str
    lists: frozenset[str]

    def __call__(self, facts: Facts) -> Any:
        return self.ask(facts)


def parse(
    text: str, lists: Iterable[str] | None = None, *, patterns: bool = True, response: bool = False, kind: str = BOOLEAN
) -> Expression:
    """The expression of `kind`. Raises ExpressionError with what is wrong and where.

    `lists` are the names of those there are (None: any). `patterns` says whether `matches` may be used, `response`
    whether the origin's answer is known when it is asked.
    """
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"it has {len(text)} characters; {MAX_LENGTH} are the most")
    parser = _Parser(text, None if lists is None else set(lists), patterns, response)
    node = parser.whole()
    if node.kind != kind or node.each:
        raise ExpressionError(f"it gives a {node.kind}, and a {kind} is needed", node.position)
    return Expression(text, node.ask, node.kind, frozenset(parser.used))


class _Parser:
    def __init__(self, text: str, lists: set[str] | None, patterns: bool, response: bool) -> None:
        self._tokens = tokens(text)
        self._at = 0
        self._end = len(text)
        self._lists = lists
        self._patterns = patterns
        self._response = response
        self._depth = 0
        self.used: set[str] = set()

    def whole(self) -> Node:
        if not self._tokens:
            raise ExpressionError("it is empty")
        node = self._either()
        if (rest := self._peek()) is not None:
            raise ExpressionError(f"{rest.text!r} comes after its end", rest.position)
        return node

    # Loosest first: or, xor, and, not, comparison.
    def _either(self) -> Node:
        return self._joined("or", self._one_of_two, lambda left, right: lambda facts: left(facts) or right(facts))

    def _one_of_two(self) -> Node:
        return self._joined("xor", self._both, lambda left, right: lambda facts: left(facts) != right(facts))

    def _both(self) -> Node:
        return self._joined("and", self._negated, lambda left, right: lambda facts: left(facts) and right(facts))

    def _joined(self, word: str, inner: Callable[[], Node], join: Callable[[Ask, Ask], Ask]) -> Node:
        node = inner()
        while (token := self._peek()) is not None and token.kind == "operator" and token.text == word:
            self._next()
            right = inner()
            for side in (node, right):
                self._must_be(side, BOOLEAN, token)
            node = Node(BOOLEAN, join(node.ask, right.ask), node.position, node.each or right.each)
        return node

    def _negated(self) -> Node:
        token = self._peek()
        if token is not None and token.kind == "operator" and token.text == "not":
            self._next()
            self._deeper(token)
            node = self._negated()
            self._depth -= 1
            self._must_be(node, BOOLEAN, token)
            ask = node.ask
            return Node(BOOLEAN, lambda facts: not ask(facts), token.position, node.each)
        return self._compared()

    def _compared(self) -> Node:
        left = self._value()
        token = self._peek()
        if token is None or token.kind != "operator":
            return left
        word = token.text
        if word in ("eq", "ne", *_ORDERED, "contains", "matches", "in", "wildcard", "strict"):
            self._next()
            ask = self._comparison(left, token)
            if not left.each:
                return Node(BOOLEAN, ask, left.position)
            return Node(BOOLEAN, ask, left.position, each=True)
        return left

    def _comparison(self, left: Node, token: Token) -> Ask:
        word, kind = token.text, STRING if left.each else left.kind
        if kind in (MAP, STRINGS):
            raise ExpressionError(f"a {kind} can't be compared: take one of its values, or any(… [*] …)", left.position)
        if word == "in":
            return _asked(left, self._membership(kind, token))
        if word == "strict":
            following = self._next()
            if following.text != "wildcard":
                raise ExpressionError("`strict` stands before `wildcard` alone", following.position)
        if word in ("contains", "matches", "wildcard", "strict") and kind != STRING:
            raise ExpressionError(f"`{word}` is for strings, not for a {kind}", token.position)
        if word in _ORDERED and kind not in (NUMBER, STRING):
            raise ExpressionError(f"`{word}` is for numbers and strings, not for a {kind}", token.position)
        right = self._literal(kind, token)
        if word == "matches":
            if not self._patterns:
                raise ExpressionError("`matches` is not in this plan (it needs Business or Enterprise)", token.position)
            pattern = functions.pattern(right, token.position)
            return _asked(left, lambda value: pattern.search(value) is not None)
        if word in ("wildcard", "strict"):
            wild = functions.wildcard(right, ignore_case=word == "wildcard")
            return _asked(left, lambda value: wild.fullmatch(value) is not None)
        if word == "ne":
            ask = left.ask
            # What isn't there is not equal.
            return _asked(left, lambda value: value != right) if left.each else lambda facts: ask(facts) != right
        return _asked(left, functions.COMPARISONS[word](right))

    def _membership(self, kind: str, token: Token) -> Callable[[Any], bool] | _ListUse:
        following = self._next()
        if following.kind == "list":
            if kind != ADDRESS:
                raise ExpressionError("lists are looked into with `ip.src in $name`", following.position)
            return _ListUse(self._list(following))
        if following.text != "{":
            raise ExpressionError("`in` is followed by {…} or $list", following.position)
        words: list[Token] = []
        while (item := self._next()).text != "}" or item.kind == "string":
            words.append(item)
        if not words:
            raise ExpressionError("the set is empty", following.position)
        return functions.membership(kind, words)

    def _list(self, token: Token) -> str:
        name = token.text[1:]
        if "." in name:
            raise ExpressionError(
                f"${name} is a list that Cloudflare keeps: the dock has none of these", token.position
            )
        if self._lists is not None and name not in self._lists:
            raise ExpressionError(f"there is no list ${name}", token.position)
        self.used.add(name)
        return name

    def _literal(self, kind: str, before: Token) -> Any:
        token = self._next()
        if kind == STRING and token.kind == "string":
            return token.text
        if kind == NUMBER and token.kind == "number":
            return int(token.text)
        if kind == ADDRESS and token.kind == "address":
            try:
                return ipaddress.ip_address(token.text)
            except ValueError:
                raise ExpressionError("a network is compared with `in {…}`", token.position) from None
        if kind == BOOLEAN and token.text in ("true", "false"):
            return token.text == "true"
        raise ExpressionError(f"`{before.text}` needs a {kind}, not {token.text!r}", token.position)

    def _value(self) -> Node:
        token = self._next()
        if token.text == "(" and token.kind == "operator":
            self._deeper(token)
            node = self._either()
            self._expect(")")
            self._depth -= 1
            return node
        if token.kind == "string":
            text = token.text
            return Node(STRING, lambda facts: text, token.position)
        if token.kind == "number":
            number = int(token.text)
            return Node(NUMBER, lambda facts: number, token.position)
        if token.kind != "name":
            raise ExpressionError(f"a field or a function is expected, not {token.text!r}", token.position)
        if token.text in ("true", "false"):
            fixed = token.text == "true"
            return Node(BOOLEAN, lambda facts: fixed, token.position)
        following = self._peek()
        if following is not None and following.text == "(" and following.kind == "operator":
            return self._call(token)
        return self._indexed(self._field(token))

    def _field(self, token: Token) -> Node:
        name = token.text
        if name in FIELDS and (self._response or name not in OF_THE_RESPONSE):
            kind, ask = FIELDS[name]
            return Node(kind, ask, token.position)
        if name in OF_THE_RESPONSE:
            raise ExpressionError(f"{name} isn't known before the origin has answered", token.position)
        if name.startswith(UNKNOWABLE):
            raise ExpressionError(
                f"the dock can't know {name}, so a rule with it would never act; see docs/differences-from-aws.md",
                token.position,
            )
        raise ExpressionError(f"there is no field {name}", token.position)

    def _indexed(self, node: Node) -> Node:
        while (token := self._peek()) is not None and token.text == "[" and token.kind == "operator":
            self._next()
            index = self._next()
            self._expect("]")
            ask = node.ask
            if node.kind == MAP and index.kind == "string":
                key = index.text
                node = Node(STRINGS, lambda facts, ask=ask, key=key: ask(facts).get(key, []), token.position)  # type: ignore[misc]
            elif node.kind == STRINGS and index.kind == "number":
                at = int(index.text)
                node = Node(STRING, lambda facts, ask=ask, at=at: functions.item(ask(facts), at), token.position)  # type: ignore[misc]
            elif node.kind == STRINGS and index.text == "*":
                node = Node(STRINGS, ask, token.position, each=True)
            else:
                raise ExpressionError(f"a {node.kind} has no [{index.text}]", index.position)
        return node

    def _call(self, name: Token) -> Node:
        self._next()
        self._deeper(name)
        arguments = [self._either()]
        while (token := self._peek()) is not None and token.text == ",":
            self._next()
            arguments.append(self._either())
        self._expect(")")
        self._depth -= 1
        if name.text in ("any", "all"):
            (node,) = arguments if len(arguments) == 1 else (None,)
            if node is None or not node.each or node.kind != BOOLEAN:
                raise ExpressionError(f'{name.text}() takes a comparison like ["x"][*] eq "y"', name.position)
            ask, quantifier = node.ask, any if name.text == "any" else all
            return Node(BOOLEAN, lambda facts: quantifier(ask(facts)), name.position)
        function = functions.FUNCTIONS.get(name.text)
        if function is None:
            raise ExpressionError(
                f"the dock has no function {name.text}(): it has any, all, {', '.join(sorted(functions.FUNCTIONS))}",
                name.position,
            )
        if [each.kind for each in arguments] == [STRINGS] and arguments[0].each and function.takes == (STRING,):
            ask, do = arguments[0].ask, function.do
            return Node(STRINGS, lambda facts: [do(value) for value in ask(facts)], name.position, each=True)
        function.check(name, [each.kind for each in arguments])
        asks, do = [each.ask for each in arguments], function.do
        return Node(function.gives, lambda facts: functions.call(do, [ask(facts) for ask in asks]), name.position)

    @staticmethod
    def _must_be(node: Node, kind: str, token: Token) -> None:
        if node.kind != kind:
            raise ExpressionError(f"`{token.text}` needs a {kind} on both sides, not a {node.kind}", node.position)
        if node.each:
            raise ExpressionError("a list's comparison stands inside any() or all()", node.position)

    def _deeper(self, token: Token) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ExpressionError(f"it is nested deeper than {MAX_DEPTH}", token.position)

    def _peek(self) -> Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _next(self) -> Token:
        token = self._peek()
        if token is None:
            raise ExpressionError("it ends too early", self._end)
        self._at += 1
        return token

    def _expect(self, text: str) -> None:
        token = self._next()
        if token.text != text or token.kind != "operator":
            raise ExpressionError(f"{text!r} is expected, not {token.text!r}", token.position)


class _ListUse:
    """Membership in one of the account's lists, whatever is in it when it is asked."""

    def __init__(self, name: str) -> None:
        self.name = name


def _asked(left: Node, test: Any) -> Ask:
    ask = left.ask
    if isinstance(test, _ListUse):
        name, nothing = test.name, AddressList()
        return lambda facts: ask(facts) in facts.lists.get(name, nothing)
    if left.each:
        return lambda facts: [test(value) for value in ask(facts)]

    def one(facts: Facts) -> bool:
        value = ask(facts)
        return value is not None and bool(test(value))

    return one
