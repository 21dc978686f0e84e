"""Scripts of shell completion, made from the flags of the parser and the options of the recipes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from cyclopts import ArgumentCollection

from ..core.wording import option_flag
from .app import WITH_RECIPES, parser
from .catalogue import catalogue
from .verbs import VERBS

__all__ = ["Flag", "flags_of", "script"]


@dataclass(frozen=True)
class Flag:
    """A flag of a command.

    Attributes:
        names: all of its spellings.
        choices: the values that it takes, if they are few.
        takes_value: False for a switch.
    """

    names: tuple[str, ...]
    choices: tuple[str, ...] = ()
    takes_value: bool = True


@cache
def _arguments(verb: str) -> ArgumentCollection:
    """Return the arguments of a command."""
    return parser()[verb].assemble_argument_collection()


def flags_of(verb: str) -> list[Flag]:
    """Return the flags of a command in the order of its help; not those of recipes."""
    flags = []
    for argument in _arguments(verb):
        names = tuple(name for name in argument.names if name.startswith("-"))
        if argument.show and names:
            choices = tuple(catalogue().recipes if "--recipe" in names else argument.get_choices() or ())
            is_switch = argument.token_count()[0] == 0 or any(name.startswith("--no-") for name in names)
            flags.append(Flag(names, choices, not is_switch))
    return flags


def _positional_choices(verb: str) -> tuple[str, ...]:
    """Return the choices of the first argument of a command, if it has some."""
    arguments = [a for a in _arguments(verb) if a.show and not a.names[0].startswith("-")]
    return tuple(arguments[0].get_choices() or ()) if arguments else ()


def _recipe_options() -> dict[str, tuple[str, ...]]:
    """Return the flags of the options of each recipe."""
    return {name: tuple(map(option_flag, entry.options)) for name, entry in catalogue().recipes.items()}


def script(shell: str) -> str:
    """Return the script for bash, zsh or fish."""
    flags = {verb: flags_of(verb) for verb in VERBS}
    text = "\n".join(_fish_lines(flags)) if shell == "fish" else _case_script(shell, flags)
    return f"# completion of jensen for {shell}; see jensen completion --help\n{text}"


CHOICES = """    case "$verb $previous" in
VALUES
    esac
    if [[ -z "$choices" && "$current" == -* ]]; then
      case "$verb" in
FLAGS
      esac
      case "$verb $recipe" in
OPTIONS
      esac
    fi"""

BASH = f"""_jensen() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD - 1]}}" verb="${{COMP_WORDS[1]}}"
  local recipe=vae choices="" i
  for ((i = 2; i < COMP_CWORD; i++)); do
    if [[ "${{COMP_WORDS[i]}}" == --recipe ]]; then
      recipe="${{COMP_WORDS[i + 1]}}"
      [[ "$recipe" == = ]] && recipe="${{COMP_WORDS[i + 2]}}"
    fi
  done
  if [[ "$current" == = ]]; then
    current=""
  elif [[ "$previous" == = ]]; then
    previous="${{COMP_WORDS[COMP_CWORD - 2]}}"
  fi
  if ((COMP_CWORD == 1)); then
    choices="VERBS"
  else
{CHOICES}
  fi
  COMPREPLY=()
  [[ -n "$choices" ]] && COMPREPLY=($(compgen -W "$choices" -- "$current"))
}}
complete -o bashdefault -o default -F _jensen jensen"""

ZSH = f"""_jensen() {{
  local current="$words[CURRENT]" previous="$words[CURRENT-1]" verb="$words[2]"
  local recipe=vae choices="" i
  for ((i = 3; i < CURRENT; i++)); do
    [[ "$words[i]" == --recipe ]] && recipe="$words[i+1]"
  done
  if ((CURRENT == 2)); then
    choices="VERBS"
  else
{CHOICES}
  fi
  if [[ -n "$choices" ]]; then
    compadd -- ${{=choices}}
  else
    _files
  fi
}}
compdef _jensen jensen"""


def _case_script(shell: str, flags: Mapping[str, list[Flag]]) -> str:
    """Return the script for bash or zsh: the values of a flag, the flags of a verb, or else files."""
    values, names = [], []
    for verb, of_verb in flags.items():
        values += [_case(f'"{verb} {name}"', flag.choices) for flag in of_verb for name in flag.names if flag.choices]
        values += [_case(f'"{verb} {verb}"', choices) for choices in [_positional_choices(verb)] if choices]
        names.append(_case(verb, [*(name for flag in of_verb for name in flag.names), "--help"]))
    options = [_case(f'"{verb} {r}"', o, "+=") for verb in WITH_RECIPES for r, o in _recipe_options().items()]
    text = BASH if shell == "bash" else ZSH
    for word, lines in (("VALUES", values), ("FLAGS", names), ("OPTIONS", options)):
        text = text.replace(word, "\n".join(lines))
    return text.replace("VERBS", " ".join(VERBS))


def _case(pattern: str, words: Iterable[str], sign: str = "=") -> str:
    """Return the branch of a case that sets the choices, or adds to them."""
    return f'      {pattern}) choices{sign}" {" ".join(words)}" ;;'


def _fish_lines(flags: Mapping[str, list[Flag]]) -> Iterator[str]:
    """Yield one line for each verb, for each flag of a verb, and for the options of each recipe."""
    for verb, summary in VERBS.items():
        yield f"complete -c jensen -n __fish_use_subcommand -f -a {verb} -d {_quoted(summary)}"
    for verb, of_verb in flags.items():
        condition = f"-n '__fish_seen_subcommand_from {verb}'"
        positional = _positional_choices(verb)
        if positional:
            yield f"complete -c jensen {condition} -f -a {_quoted(' '.join(positional))}"
        for flag in of_verb:
            names = " ".join(f"-l {n[2:]}" if n.startswith("--") else f"-s {n[1:]}" for n in flag.names)
            values = f" -x -a {_quoted(' '.join(flag.choices))}" if flag.choices else " -r" if flag.takes_value else ""
            yield f"complete -c jensen {condition} {names}{values}"
    verbs = " ".join(WITH_RECIPES)
    for name, options in _recipe_options().items():
        condition = f"-n '__fish_seen_subcommand_from {verbs}; and __fish_seen_subcommand_from {name}'"
        for option in options:
            yield f"complete -c jensen {condition} -l {option[2:]} -r"


def _quoted(text: str) -> str:
    """Return text as one word of fish."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
