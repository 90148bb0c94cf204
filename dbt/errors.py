"""The two ways to fail, as every task has them."""


class Refused(Exception):
    """Wrong use, configuration or credentials: exit 2, a retry does not help."""


class Failed(Exception):
    """What a retry may mend: exit 1."""
