"""What a stack would cost in a month on AWS: an estimate from its own resources and a dated table of prices."""
