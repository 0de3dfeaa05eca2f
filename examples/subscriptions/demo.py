"""`make demo`: this example under `anzol dev`, its customer's endpoint being the test inbox, one event sent.

DEMO_SECONDS=20 ends it by itself after that time; DEMO_PORT chooses another port than 8000. What it stores is in a
temporary folder, gone when it ends.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
ANZOL = Path(sys.executable).with_name("anzol")
PORT = os.environ.get("DEMO_PORT", "8000")
SECONDS = float(os.environ.get("DEMO_SECONDS", "0")) or None

TRY = """
Now you, in another terminal; it arrives in the inbox, signed and checked:

  curl -X POST http://127.0.0.1:{port}/subscriptions -H 'content-type: application/json' \\
    -d '{{"username": "maria", "monthly_fee": 9.9, "start_date": "2026-12-01T12:00:00Z"}}'
"""


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="anzol-demo-") as folder:
        return run(folder)


def run(folder: str) -> int:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANZOL_")}
    command = [ANZOL, "dev", HERE / "main.py", "--port", PORT, "--inbox-for", "acme", "--send", "new-subscription"]
    dev = subprocess.Popen(command, cwd=folder, env=environment)
    signal.signal(signal.SIGTERM, lambda *_: dev.terminate())
    began = time.monotonic()
    try:
        if ready(dev):
            print(TRY.format(port=PORT), flush=True)
        return dev.wait(None if SECONDS is None else max(0.1, SECONDS - (time.monotonic() - began)))
    except KeyboardInterrupt:
        return dev.wait()  # it got the Ctrl-C, too, and stops in good order
    except subprocess.TimeoutExpired:
        dev.terminate()
        return dev.wait()
    finally:
        dev.terminate()  # nothing is left running, whatever happened here
        dev.wait()


def ready(dev: subprocess.Popen) -> bool:
    """Wait until the app answers; say whether it did."""
    while dev.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/_anzol/inbox/arrivals", timeout=1):
                return True
        except OSError:
            time.sleep(0.1)
    return False


if __name__ == "__main__":
    sys.exit(main())
