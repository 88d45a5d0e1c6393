"""What is wrong with the settings of connections."""


class ConnectionSettingsError(Exception):
    """A setting of a connection is wrong; one line that names the variable and holds no secret."""
