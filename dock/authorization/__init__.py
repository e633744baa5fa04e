"""At the front door: who sent a request, what it needs, and whether that is allowed.

The decision itself is `dock/access`; which action an operation is, and on which resource, is data: `reference/`
(generated from AWS's service authorization reference) and `targets.yaml`.
"""
