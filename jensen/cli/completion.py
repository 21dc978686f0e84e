"""`jensen completion`: print the script that completes commands in a shell."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from .output import print_page

__all__ = ["completion"]


def completion(shell: Annotated[Literal["bash", "zsh", "fish"], Parameter(help="the shell")], /) -> None:
    """Print the script that completes commands, flags, choices, recipes and files in a shell.

    For bash, source <(jensen completion bash) in ~/.bashrc; for zsh, source <(jensen completion zsh) in ~/.zshrc, after
    compinit; for fish, jensen completion fish > ~/.config/fish/completions/jensen.fish. It changes no file.
    """
    from .completion_scripts import script

    print_page(script(shell))
