"""The stack files that ``harness init`` writes: small, commented, valid as they stand, and run by Python alone."""

from __future__ import annotations

__all__ = ["SCHEMA_URL", "TEMPLATES"]

#: beside the stack file; ``harness schema`` prints it
SCHEMA_URL = "./harness.schema.json"

_HEAD = """\
# yaml-language-server: $schema={schema}
#
#   harness start      start everything in this file, in order, and wait until it is ready
#   harness status     see it
#   harness stop       stop it
#
# The line at the top lets editors complete and check this file: harness schema > harness.schema.json
name: {name}
"""

_WEB = """
services:
  web:
    target:
      type: process
      binary: python3
      # ${{self.port}} is the port below; what is chosen at the start is filled in here
      args: [-m, http.server, "${{self.port}}", --bind, 127.0.0.1]
    ports:
      # auto: the daemon chooses a free one, and harness status shows it. A number works as well.
      http: auto
    health_check:
      # ready when this answers with 200 to 399; also: tcp, command, log, file
      http: /
    restart:
      # no, on-failure or always
      policy: on-failure

  # A second service that needs the first one: it starts when web is healthy, and gets its address.
  #
  # client:
  #   target:
  #     type: process
  #     binary: ./client.sh
  #     env: {{WEB_URL: "${{web.url}}"}}
  #   dependencies:
  #     - {{service: web, condition: healthy}}
"""

_WORKER = """
services:
  worker:
    target:
      type: process
      # shell: a line for /bin/sh; without it, binary and args are passed on without any shell
      shell: 'while true; do echo "working in ${{PWD:-.}}"; sleep 5; done'
      # working_dir: ./worker
      # env: {{LEVEL: "${{LEVEL:-info}}"}}
    health_check:
      # ready when a line of its output matches
      log: working
    restart:
      policy: always
      # doubled after each failure, up to max_delay
      delay: 500ms
      max_delay: 30s
    stop:
      signal: TERM
      # killed when it has not ended by then
      timeout: 10s
    logs:
      max_size: 50MB
      max_files: 10
"""

_TASK = """
# A task runs to its end, once: it is done until its definition or one of its inputs changes.
tasks:
  prepare:
    target:
      type: process
      binary: python3
      # KEY=value lines in the file $HARNESS_OUTPUT become ${{prepare.KEY}}
      args: [-c, "import os; open(os.environ['HARNESS_OUTPUT'], 'a').write('GREETING=hello' + chr(10))"]
    # inputs: ["./schema/*.sql"]
    timeout: 1m
    retries: 1

services:
  app:
    target:
      type: process
      binary: python3
      args: [-c, "import sys, time; print(sys.argv[1], flush=True); time.sleep(86400)", "${{prepare.GREETING}}"]
    dependencies:
      - {{task: prepare}}
"""

#: by name: what it is, and its text with ``{name}`` and ``{schema}``
TEMPLATES: dict[str, tuple[str, str]] = {
    "web": ("a web server with a port and a health check", _HEAD + _WEB),
    "worker": ("a process that runs on and is restarted", _HEAD + _WORKER),
    "task": ("a task that prepares something, and a service that needs it", _HEAD + _TASK),
}
