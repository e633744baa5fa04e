"""Who may do what: policy documents, how they are evaluated, and the decision about one request.

Nothing here knows how a request arrives or where records are kept; `dock/aws/iam` keeps them, `dock/authorization`
stands at the front door.
"""
