"""Metric math: the language of CloudWatch's expressions."""

from dock.aws.cloudwatch.math.evaluator import Evaluator, ExpressionError
from dock.aws.cloudwatch.math.expression import Expression, parse

__all__ = ["Evaluator", "Expression", "ExpressionError", "parse"]
