"""The dock: a cloud on one machine, whose control plane speaks AWS's API and whose data plane is real."""
