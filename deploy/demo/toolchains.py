"""How each demo service is run: compiled where its toolchain is present, else by a Python stand-in."""
import os
import shutil
import subprocess
import sys
import tempfile

SERVICES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "services")
JAVA = ["java", "-Xmx48m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dsun.net.httpserver.nodelay=true"]


def source(name):
    return os.path.join(SERVICES, name)


def newer(target, made_from):
    return os.path.exists(target) and os.path.getmtime(target) >= os.path.getmtime(made_from)


def compiled(argv, build, target, made_from, say, environ=None):
    """Runs argv + [OUT] in a folder of its own and moves OUT's content into place, so that two demos may build at once."""
    if newer(target, made_from):
        return True
    say(f"compiling {os.path.basename(made_from)} with {argv[0]}")
    with tempfile.TemporaryDirectory(dir=build) as out:
        done = subprocess.run(argv + [out, made_from], capture_output=True, text=True, env=environ)
        if done.returncode:
            say(f"{argv[0]} failed: {(done.stderr or done.stdout).strip()}")
            return False
        for name in os.listdir(out):
            os.replace(os.path.join(out, name), os.path.join(build, name))
    os.utime(target)
    return True


def account_command(build, say):
    if shutil.which("go"):
        # GO111MODULE=off: one file of the standard library, no module, nothing to fetch.
        environ = {"HOME": build, **os.environ, "GO111MODULE": "off", "GOTOOLCHAIN": "local",
                   "CGO_ENABLED": "0"}
        target = os.path.join(build, "accountservice")
        if compiled(["go", "build", "-o"], build, target, source("accountservice.go"), say, environ):
            return [target], "Go"
    else:
        say("no Go toolchain here: a Python handler stands in for accountservice (apt-get install golang-go, if you want it)")
    return [sys.executable, source("accountservice.py")], "Python"


def quotes_command(build, say):
    if shutil.which("javac") and shutil.which("java"):
        target = os.path.join(build, "QuotesService.class")
        if compiled(["javac", "-d"], build, target, source("QuotesService.java"), say):
            return JAVA + ["-cp", build, "QuotesService"], "Java"
    else:
        say("no JDK here: Python handlers stand in for quotes-service (apt-get install default-jdk-headless, if you want it)")
    return [sys.executable, source("quotes_service.py")], "Python"


def image_command():
    return [sys.executable, source("imageservice.py")], "Python"


def commands(build, say):
    """{service: (argv, language)}; say(text) tells what is compiled and what is missing."""
    os.makedirs(build, exist_ok=True)
    return {"accountservice": account_command(build, say), "quotes-service": quotes_command(build, say),
            "imageservice": image_command()}
