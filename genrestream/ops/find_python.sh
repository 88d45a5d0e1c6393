#!/bin/sh
# Prints the path of a Python that can run the project; else one line on standard error, and status 1.
# PYTHON names one to use instead of those on the PATH.
check=$(dirname "$0")/interpreter.py
suits='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'

almost=
for python in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
    # pyenv's shims exist also for versions that are not chosen: they fail here.
    "$python" -c "$suits" 2>/dev/null || continue
    if "$python" -I "$check" 2>/dev/null; then
        command -v "$python"
        exit 0
    fi
    almost=${almost:-$python}
done

if [ -n "$almost" ]; then
    "$almost" -I "$check"
else
    echo "genrestream: no Python 3.11 to 3.13 in ${PYTHON:-the PATH}: apt-get install python3-venv" >&2
fi
exit 1
