"""Options of all commands, which are taken out before a command sees its words."""

__all__ = ["EVERYWHERE", "take_options"]

# By flag: what its value is called, what the error asks for, and the help.
EVERYWHERE = {
    "--compilation-cache": (
        "PATH|off",
        "a folder, or off",
        "Where compiled programs are kept, which the next run of a command loads, or off. Default: the "
        "environment variables JAXRL_COMPILATION_CACHE and JAX_COMPILATION_CACHE_DIR, or the user's cache folder, "
        "of at most 1 GiB.",
    ),
    "--import": (
        "MODULE",
        "the name of a module",
        "Module to import first, looked for in this folder too, which registers environments, agents, losses, networks "
        "or kinds of runs of your own; run directories remember it. [repeatable]",
    ),
}


def take_options(arguments: list[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Arguments without these options, wherever they stand, and their values by flag.

    Raises:
        ValueError: where a value is missing.
    """
    rest, values = [], {flag: [] for flag in EVERYWHERE}
    words = iter(arguments)
    for word in words:
        name, equals, text = word.partition("=")
        flag = name.replace("_", "-")
        if flag not in EVERYWHERE:
            rest.append(word)
            continue
        value = text if equals else next(words, "")
        if not value or value.startswith("--"):
            raise ValueError(f"{flag} needs {EVERYWHERE[flag][1]}")
        values[flag].append(value)
    return rest, values
