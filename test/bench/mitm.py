"""Runs mitmdump with the add-on and says so as JSON; the port is the first argument, the state directory the second."""

import json
import pathlib
import sys

from mitmproxy import version

port, directory = sys.argv[1], sys.argv[2]
print(json.dumps({"port": int(port), "version": version.VERSION}), flush=True)
sys.argv = ["mitmdump"]

from mitmproxy.tools.main import mitmdump  # noqa: E402

addon = pathlib.Path(__file__).with_name("mitm_addon.py")
mitmdump(
    [
        "--quiet",
        "--listen-host", "127.0.0.1",
        "--listen-port", port,
        "--ssl-insecure",
        "--set", f"confdir={directory}",
        "--set", "connection_strategy=lazy",
        "--set", "flow_detail=0",
        "--scripts", str(addon),
    ]
)
