"""What a test says of itself."""


def needs(*running, down=()):
    """running: peers that answer before the test begins; down: peers that it starts (and ends) itself."""
    def mark(function):
        function.running, function.down = running, down
        return function
    return mark
