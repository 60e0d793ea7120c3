"""The exceptions users see. Every message says which field, what was found, what was expected and how to mend it."""


class HistoscribeError(ValueError):
    """A wrong input. Base of everything histoscribe raises on purpose.

    Parameters
    ----------
    field
        What is wrong: an argument, a slot, a file.
    found
        What was found there.
    expected
        What should have been there.
    fix
        The call or change that mends it.
    """

    def __init__(self, field: str, *, found: object, expected: str, fix: str) -> None:
        self.field, self.found, self.expected, self.fix = field, found, expected, fix
        super().__init__(f"{field}: found {found}; expected {expected}. {fix}")

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would show the repr


class OptionError(HistoscribeError):
    """An argument has a value that is not allowed."""


class MissingError(HistoscribeError, KeyError):
    """A slot, column or name is not there."""


class CountsError(HistoscribeError):
    """The expression matrix is not what the function needs: raw counts, mostly."""


class GenesError(HistoscribeError):
    """Gene names do not fit the vocabulary or gene sets."""


class ScaleError(HistoscribeError):
    """Micrometres per pixel are missing, implausible or contradictory."""


class ImageError(HistoscribeError):
    """An image is missing, broken or of a kind that can't be used."""


class FileError(HistoscribeError):
    """A file is missing, broken or not the one expected."""


class OfflineError(FileError):
    """A file must be downloaded and there is no network."""


class DependencyError(HistoscribeError, ImportError):
    """An optional package is not installed."""


class TrainingError(HistoscribeError):
    """Training went wrong: a loss is no longer a number."""
