#!/usr/bin/env bash
# Ends the cobblerd that cobbler-up.sh started for DIR, and what it has started, and nothing else.
set -u
dir=${1:?directory}
pid=$(cat "$dir/run/cobblerd.pid" 2>/dev/null) || exit 0
# Numbers of processes are used again: it must still be this directory's.
tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "$dir/" || exit 0
# It leads a session of its own, so its children (dnf, createrepo) are in its process group.
kill -TERM -- "-$pid" 2>/dev/null
for _ in $(seq 1 50); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
kill -KILL -- "-$pid" 2>/dev/null
rm -f "$dir/run/cobblerd.pid"
