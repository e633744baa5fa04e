"""A monthly limit, and who is told before it is reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws


@dataclass(frozen=True, kw_only=True)
class BudgetArgs:
    """`monthly_usd`: US dollars. `actual_percent`, `forecast_percent`: shares of it that are told of when they are
    spent, or expected to be by the month's end. `tags`: only what carries them counts, once they are activated as cost
    allocation tags; two at least; without
    any, the whole account."""

    monthly_usd: int
    actual_percent: Sequence[int]
    forecast_percent: Sequence[int]
    emails: Sequence[str]
    tags: Mapping[str, str]


class Budget(pulumi.ComponentResource):
    """It tells, it stops nothing."""

    budget: pulumi.Output[str]

    def __init__(self, name: str, args: BudgetArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("drydock:components:Budget", name, None, opts)
        told = [("ACTUAL", percent) for percent in args.actual_percent]
        told += [("FORECASTED", percent) for percent in args.forecast_percent]
        budget = aws.budgets.Budget(
            f"{name}-budget",
            name=name,
            budget_type="COST",
            time_unit="MONTHLY",
            limit_amount=str(args.monthly_usd),
            limit_unit="USD",
            # Joined by and, which the older cost filters can't: platforms share the names of their environments.
            filter_expression=aws.budgets.BudgetFilterExpressionArgs(
                ands=[
                    aws.budgets.BudgetFilterExpressionAndArgs(
                        tags=aws.budgets.BudgetFilterExpressionAndTagsArgs(key=key, values=[value])
                    )
                    for key, value in sorted(args.tags.items())
                ]
            )
            if args.tags
            else None,
            metrics="UnblendedCost" if args.tags else None,
            notifications=[
                aws.budgets.BudgetNotificationArgs(
                    comparison_operator="GREATER_THAN",
                    notification_type=kind,
                    threshold=percent,
                    threshold_type="PERCENTAGE",
                    subscriber_email_addresses=list(args.emails),
                )
                for kind, percent in told
            ],
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.budget = budget.name
        self.register_outputs({"budget": self.budget})
