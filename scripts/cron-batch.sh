#!/bin/sh
# One batch a minute from cron:
#   * * * * * /opt/trioqueue/scripts/cron-batch.sh /etc/trioqueue/environment
# Reads the environment from the file that it is given, and works for at most 55 seconds, so that two batches seldom
# meet; where they do, they share the work and nothing is sent twice. Exit codes 0 (done) and 75 (the deadline came
# first, the next minute goes on) are both good, and nothing is printed then: cron mails whatever is.
set -eu
if [ "$#" -gt 0 ]; then
  set -a
  . "$1"
  set +a
fi
code=0
printed=$(trioqueue run --drain --deadline 55 --json 2>&1) || code=$?
case "$code" in
  0 | 75) ;;
  *)
    printf '%s\n' "$printed" >&2
    exit "$code"
    ;;
esac
