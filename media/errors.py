"""The one exception for everything a person can put right (files, formats, settings), and the reasons of others."""


class InputError(ValueError):
    """A refused input.

    The message is one complete line for a person: what was wrong, where, and what to do about it. Programs that
    catch it print that line and exit with a status that is not 0; a traceback would add nothing.
    """


def reason(error: Exception) -> str:
    """What went wrong, as FFmpeg or the system says it, without file names and error numbers."""
    return str(getattr(error, "strerror", None) or error).strip().rstrip(".") or type(error).__name__
