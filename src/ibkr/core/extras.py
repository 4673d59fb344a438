"""What to do if an optional dependency (extra) is missing.

The package is not on PyPI: there, the name belongs to another project.
"""

CHECKOUT = "/path/to/the/checkout"
"""A clone of the repository, or the wheel built from it."""


def install_hint(what: str, extra: str, package: str) -> str:
    """A message that names the missing package, the feature that needs it, and how to install it."""
    return (
        f"{what} needs the package {package}, which is not installed. Install the extra from your checkout of ibkr:"
        f" python -m pip install '{CHECKOUT}[{extra}]'"
    )
